"""What a call remembers about its handler: ids used, branches, the body that runs."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import threading
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from typing import Any

from inngest_django.drivers.base import RACE_MODE, SINGLE_MODE, WAIT_MODE
from inngest_django.ids import hash_step_id
from inngest_django.steps.memos import Stored


class StepIds:
    """Gives each step call of one entry its hashed id. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: dict[str, int] = {}
        self._used: set[str] = set()

    def take(self, step_id: str) -> tuple[str, int]:
        """Return hashed id and index of the next use of an id.

        A literal ``"a:1"`` hashes like the second ``"a"``; whichever comes later takes its
        next free index.
        """
        with self._lock:
            index = self._next.get(step_id, 0)
            hashed_id = hash_step_id(step_id, index)
            while hashed_id in self._used:
                index += 1
                hashed_id = hash_step_id(step_id, index)
            self._next[step_id] = index + 1
            self._used.add(hashed_id)
            return hashed_id, index

    def take_plain(
        self,
        step_id: str,
        stored: Mapping[str, Stored],
        passed: Collection[str],
        *,
        but: str | None,
    ) -> str | None:
        """Return the hashed id of the next use of an id; None, and take none, unless known.

        Args:
            stored, passed: Results and open steps; one of them knows the step.
            but: The one result that is not meant; neither are those of failed steps.
        """
        # Not ``with``: it takes twice the time, and this is called for each recorded step.
        self._lock.acquire()
        try:
            index = self._next.get(step_id, 0)
            hashed_id = hash_step_id(step_id, index)
            memo = stored.get(hashed_id)
            if memo is None:
                if hashed_id not in passed:
                    return None
            elif memo.error is not None or hashed_id == but:
                return None
            if hashed_id in self._used:
                return None
            self._next[step_id] = index + 1
            self._used.add(hashed_id)
            return hashed_id
        finally:
            self._lock.release()


@dataclasses.dataclass(eq=False, slots=True)
class Branch:
    """A line of code in the handler: the handler itself, or one callable of a group.

    Attributes:
        parent: None for the handler itself.
        is_race: Whether the group, or one around it, advances branch by branch.
        decided_at: The largest revision among the results it used.
        unwound_at: The step whose interrupt is on its way out.
        unwound_by: The thread or task that the interrupt was raised in.
        met_pending: Whether it ended at a step that is still open.
    """

    parent: Branch | None = None
    is_race: bool = False
    decided_at: int = 0
    unwound_at: str | None = None
    unwound_by: object = None
    met_pending: bool = False

    @property
    def mode(self) -> str:
        """The mode of the steps planned here."""
        if self.parent is None:
            return SINGLE_MODE
        return RACE_MODE if self.is_race else WAIT_MODE


@dataclasses.dataclass(eq=False, slots=True)
class Body:
    """A step's body while it runs."""

    call: object
    key: str
    is_nested: bool = False


# Which branch and body the code that runs belongs to. Context variables, because tasks and
# ``sync_to_async`` carry them along.
branch_now: contextvars.ContextVar[tuple[object, Branch] | None] = contextvars.ContextVar(
    "inngest_django_branch", default=None
)
body_now: contextvars.ContextVar[Body | None] = contextvars.ContextVar(
    "inngest_django_body", default=None
)


@contextlib.contextmanager
def inside_branch(call: object, branch: Branch) -> Iterator[None]:
    """Attribute the step calls of this block to a branch."""
    token = branch_now.set((call, branch))
    try:
        yield
    finally:
        branch_now.reset(token)


@contextlib.contextmanager
def inside_body(body: Body) -> Iterator[None]:
    """Attribute the code of this block to a step's body."""
    token = body_now.set(body)
    try:
        yield
    finally:
        body_now.reset(token)


class OneBody:
    """Lets one body run at a time, whatever tasks or threads the handler starts."""

    def __init__(self, *, is_async: bool) -> None:
        self._thread = threading.get_ident()
        self._lock = None if is_async else threading.Lock()
        self._async_lock = asyncio.Lock() if is_async else None
        self._owner: int | None = None
        self._body: Body | None = None

    @contextlib.asynccontextmanager
    async def turn(self, body: Body) -> AsyncIterator[bool]:
        """Wait for a turn; False when the caller stands inside the running body."""
        if self._async_lock is not None:
            async with self._async_lock:
                yield True
            return
        assert self._lock is not None  # noqa: S101 - one of the two exists
        if not self._lock.acquire(blocking=False):
            # A body on the handler's own thread waits for the thread it started, most
            # likely this one; waiting here for the body would be for ever.
            if self._owner == self._thread and self._body is not None:
                self._body.is_nested = True
                yield False
                return
            self._lock.acquire()
        self._owner, self._body = threading.get_ident(), body
        try:
            yield True
        finally:
            self._owner = self._body = None
            self._lock.release()


def retrieve(task: asyncio.Task[Any]) -> None:
    """Take an interrupt out of a task that nobody awaits."""
    if not task.cancelled():
        task.exception()
