"""Faults that a test asks for: workers that die, messages that come twice."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
from collections.abc import Iterator

from inngest_django.engine import crash_points

BEFORE_BODY = "before_body"
# Names that need no knowledge of the engine. Each stands for whichever of its points the
# step passes: a transaction's body, or a checkpointed one, is recorded at another place.
ALIASES: dict[str, frozenset[str]] = {
    BEFORE_BODY: frozenset({BEFORE_BODY}),
    "after_body": frozenset(
        {"call.end", "checkpoint.start", "transaction.body_done", "timer.start"}
    ),
    "after_commit": frozenset(
        {
            "outcome.committed",
            "checkpoint.committed",
            "transaction.committed",
            "timer.committed",
        }
    ),
}


class WorkerCrashed(BaseException):
    """Stands for a worker that is killed: nothing after it runs, nothing open commits."""


@dataclasses.dataclass(slots=True)
class _Crash:
    """A crash that is still to come.

    Attributes:
        skip: How many times the point is passed before.
    """

    name: str
    points: frozenset[str]
    step: str | None
    skip: int
    times: int

    def __str__(self) -> str:
        return self.name if self.step is None else f"{self.name} of step {self.step}"


class Faults:
    """What is to go wrong, and what went wrong.

    Attributes:
        crash_count: Workers that died.
        reached: How often each point was passed.
        wants_ticks: Whether the worker ticks, as beat would make it.
    """

    def __init__(self) -> None:
        self.crash_count = 0
        self.reached: collections.Counter[str] = collections.Counter()
        self.wants_ticks = False
        self._planned: list[_Crash] = []
        self._steps: frozenset[str] = frozenset()
        self._is_dead = False

    def crash_at(
        self, *, point: str, step: str | None = None, skip: int = 0, times: int = 1
    ) -> None:
        """Let the worker die when it reaches a point.

        Raises:
            ValueError: No point has that name.
        """
        points = ALIASES.get(point)
        if points is None:
            if point not in crash_points.NAMES:
                known = ", ".join([*ALIASES, *crash_points.NAMES])
                raise ValueError(f"crash_at: no point is called {point!r}. Choose one of {known}.")
            points = frozenset({point})
        self._planned.append(_Crash(point, points, step, skip, times))

    @property
    def unreached(self) -> list[str]:
        """The crashes that did not come to pass."""
        return [str(crash) for crash in self._planned]

    def forget(self) -> None:
        """Plan nothing, and count from the start."""
        self._planned.clear()
        self.reached.clear()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Be one process: it dies at most once, and then does nothing more.

        Raises:
            WorkerCrashed: It died.
        """
        self._is_dead, self._steps = False, frozenset()
        crash_points.install(self.reach)
        try:
            yield
            if self._is_dead:
                # User code caught what stood for its process's death.
                raise WorkerCrashed
        finally:
            crash_points.install(None)
            self._is_dead = False

    def at_steps(self, *names: str) -> None:
        """Note which steps the points to come belong to."""
        self._steps = frozenset(names)

    def reach(self, point: str) -> None:
        """Pass a point, or die there."""
        if self._is_dead:
            raise WorkerCrashed(point)
        self.reached[point] += 1
        for crash in self._planned:
            if point not in crash.points:
                continue
            if crash.step is not None and crash.step not in self._steps:
                continue
            if crash.skip:
                crash.skip -= 1
                continue
            crash.times -= 1
            if not crash.times:
                self._planned.remove(crash)
            self._is_dead = True
            self.crash_count += 1
            raise WorkerCrashed(point)
