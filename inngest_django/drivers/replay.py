"""What a call remembers about its handler: ids used, branches, the body that runs."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import threading
from collections.abc import AsyncIterator, Iterator, Sequence, Set
from typing import Any

from inngest_django.drivers.base import RACE_MODE, SINGLE_MODE, WAIT_MODE
from inngest_django.ids import hash_step_id


class StepIds:
    """Gives each step call of one entry its hashed id. Thread-safe.

    Attributes:
        lock: Held by who looks at the others and changes them.
        next: By id, the index from which its next use looks for one that is free.
        used: Hashed ids.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.next: dict[str, int] = {}
        self.used: set[str] = set()

    def take(self, step_id: str) -> tuple[str, int]:
        """Return hashed id and index of the next use of an id.

        A literal ``"a:1"`` hashes like the second ``"a"``; whichever comes later takes its
        next free index.
        """
        with self.lock:
            index = self.next.get(step_id, 0)
            hashed_id = hash_step_id(step_id, index)
            while hashed_id in self.used:
                index += 1
                hashed_id = hash_step_id(step_id, index)
            self.next[step_id] = index + 1
            self.used.add(hashed_id)
            return hashed_id, index

    def take_from(self, start: int, step_ids: Sequence[str | None], wanted: Set[str]) -> int:
        """Take the next use of each id from a place on, up to one that is None or not wanted.

        Args:
            wanted: Hashed ids.

        Returns:
            The place of that one, or the length.
        """
        if step_ids[start] is None:
            return start
        with self.lock:
            for place in range(start, len(step_ids)):
                step_id = step_ids[place]
                if step_id is None:
                    return place
                index = self.next.get(step_id, 0)
                hashed_id = hash_step_id(step_id, index)
                if hashed_id not in wanted or hashed_id in self.used:
                    return place
                self.next[step_id] = index + 1
                self.used.add(hashed_id)
        return len(step_ids)


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
