"""The worker of a test: does what is due, by looking at the rows instead of at messages.

Callbacks on commit never run inside a test's own transaction. What they would do for the
engine (messages) is not needed here, and what they do for the author is done here once the
engine's transaction, a savepoint then, has ended.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.db import connections

from inngest_django.engine import executor, memo_cache, recovery, releases, routing, schedules
from inngest_django.engine.hints import JobHint
from inngest_django.functions import registry
from inngest_django.models import Event, Job, Run
from inngest_django.states import RUN_LIVE
from inngest_django.testing.faults import Faults, WorkerCrashed
from inngest_django.testing.virtual_time import VirtualClock

logger = logging.getLogger(__name__)

_MOST = 20_000


class Silence:
    """A publisher that takes every message and sends none."""

    def execute(self, hints: Sequence[JobHint]) -> bool:  # noqa: ARG002 - the protocol
        """Take messages about jobs."""
        return True

    def route(self) -> bool:
        """Take a message about routing."""
        return True

    def prune(self, number: int) -> bool:  # noqa: ARG002 - the protocol
        """Take a message about pruning."""
        return True

    def waiting(self, queue: str) -> int:  # noqa: ARG002 - the protocol
        """Return that none waits."""
        return 0


class Worker:
    """Does due work in the order of its times.

    Attributes:
        copies: How often each message is delivered.
    """

    def __init__(self, clock: VirtualClock, faults: Faults) -> None:
        self.copies = 1
        self._clock = clock
        self._faults = faults

    # Time ------------------------------------------------------------------------------

    def work(self) -> None:
        """Work until nothing is due at this moment.

        A worker that crashed leaves its lease behind; its successor begins when that has
        ended, so that after a crash the clock moves on by so much.
        """
        if self._faults.wants_ticks:
            self._do(recovery.tick)
        self._work()
        while (until := self._left_behind()) is not None:
            self.pass_time(until)

    def pass_time(self, until: dt.datetime) -> None:
        """Move the clock to a moment, stopping wherever something is due before."""
        while (due := self.next_due()) is not None and due <= until:
            self._clock.move(max(due, self._clock.now))
            self._work()
        self._clock.move(max(until, self._clock.now))
        self._work()

    def next_due(self) -> dt.datetime | None:
        """Return when the next job or schedule is due that this process can do, or None."""
        times = (self.next_job(), schedules.next_fire())
        return min((time for time in times if time is not None), default=None)

    def next_job(self) -> dt.datetime | None:
        """Return when the next job is due that this process can do, or None."""
        return min((due for _, due, _ in self._jobs()), default=None)

    def _left_behind(self) -> dt.datetime | None:
        if not self._faults.crash_count:
            return None
        leases = [due for _, due, is_leased in self._jobs() if is_leased]
        return min(leases, default=None)

    # Work ------------------------------------------------------------------------------

    def _work(self) -> None:
        stuck: set[str] = set()
        for _ in range(_MOST):
            unrouted = set(
                Event.objects.filter(routed_at__isnull=True).values_list("id", flat=True)
            )
            if unrouted - stuck:
                crashes = self._faults.crash_count
                for _ in range(self.copies):
                    self._do(routing.route)
                if crashes == self._faults.crash_count:
                    stuck = unrouted
                continue
            now = self._clock.now
            fire = schedules.next_fire()
            if fire is not None and fire <= now:
                for _ in range(self.copies):
                    self._do(releases.release)
                continue
            due = sorted((when, job_id) for job_id, when, _ in self._jobs() if when <= now)
            if not due:
                if stuck:
                    self._refuse_unroutable(stuck)
                return
            for _, job_id in due:
                self.deliver(job_id)
        raise AssertionError(
            f"Still busy after {_MOST} rounds of work without any time passing. Look for"
            " functions that start each other, or for a loop around a step."
        )

    def deliver(self, job_id: int) -> None:
        """Do one job, as often as its message is delivered."""
        for _ in range(self.copies):
            self._do(lambda: self._execute(job_id))

    def _execute(self, job_id: int) -> None:
        if self._faults.unreached:
            names = Job.objects.filter(pk=job_id).values_list("step__name", "step__index")
            for name, index in names:
                self._faults.at_steps(f"{name}:{index}" if index else name or "")
        executor.execute(job_id)

    def _jobs(self) -> list[tuple[int, dt.datetime, bool]]:
        """Return id, due time and whether it is leased, of each job that can be done here.

        Compared in Python: SQLite compares moments as texts, of which the engine's and the
        ORM's differ for whole seconds.
        """
        known = registry.all()
        return [
            (pk, max(available, leased) if leased else available, leased is not None)
            for pk, function_id, available, leased in Job.objects.values_list(
                "id", "function_id", "available_at", "leased_until"
            )
            if function_id in known
        ]

    def _refuse_unroutable(self, stuck: set[str]) -> None:
        left = Event.objects.filter(pk__in=stuck, routed_at__isnull=True).first()
        if left is not None:
            raise AssertionError(f"Event {left} cannot be routed; the log says why.")

    def _do(self, work: Callable[[], object]) -> None:
        held = _held_back()
        try:
            with self._faults.watching():
                work()
                _call_back(held)
        except WorkerCrashed:
            # What committed before has called back at once, outside a test.
            _call_back(held)
            # A new process knows nothing of what the old one had in memory.
            for run_id in Run.objects.filter(status__in=RUN_LIVE).values_list("id", flat=True):
                memo_cache.forget(run_id)


@contextlib.contextmanager
def committing() -> Iterator[None]:
    """Run the callbacks of what commits inside the block, as if no test were around it.

    Only those that an outer transaction holds back; without one Django runs them itself.
    """
    held = _held_back()
    yield
    _call_back(held)


def _held_back() -> list[tuple[Any, int]]:
    return [
        (connection, len(connection.run_on_commit))
        for connection in connections.all(initialized_only=True)
        if connection.in_atomic_block
    ]


def _call_back(held: list[tuple[Any, int]]) -> None:
    for connection, known in held:
        while len(connection.run_on_commit) > known:
            _, callback, is_robust = connection.run_on_commit.pop(known)
            try:
                callback()
            except Exception:
                if not is_robust:
                    raise
                logger.exception("a callback on commit failed")
