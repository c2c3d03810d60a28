"""The worker and beat under test, a load, and what became of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings

from inngest_django import Function
from inngest_django.engine import cancellation, routing
from inngest_django.models import Job, Run
from inngest_django.states import RUN_LIVE
from tests import ledger
from tests.faults import audit, injection
from tests.faults.drives import Drive, Report, Strike
from tests.faults.recovery import metronome
from tests.functional.support import describe
from tests.processes import Process, ProcessStack, wait_until

LEASE_TTL = 2.0
TICK = 1.0
# Lease, two ticks, and time in queues behind two processes on a busy machine.
BOUND = LEASE_TTL + 2 * TICK + 10
# Seconds that a worker takes to start; the promise begins when there is one again.
START = 10.0
PATIENCE = 60.0


class Arena:
    """Drives a worker with faults in it.

    Attributes:
        folder: Where points are armed, by a worker that has them.
        restarts: Workers that died and were started again, in this drive.
        under_way: The drive, for faults that send more of it.
    """

    under_way: Drive

    def __init__(self, stack: ProcessStack, *, points: bool = False) -> None:
        self.stack = stack
        self.folder = Path(settings.VAR_DIR) / "faults"
        self._hints = self.folder / "hints"
        self._points = points
        self._env: dict[str, str] = {}
        self._inngest: dict[str, object] = {}
        self._options: dict[str, Any] = {}
        self.restarts = 0

    # Worker ----------------------------------------------------------------------------

    def start_worker(
        self,
        env: Mapping[str, str] | None = None,
        *,
        options: Sequence[str] = (),
        concurrency: int = 2,
        points: bool | None = None,
        **inngest: object,
    ) -> Process:
        """Stop the worker, if there is one, and start one with this in its environment.

        Args:
            options: Of ``celery worker``.
            points: Whether it acts at armed points; as the arena unless given. The engine's
                statements are others then, sent one by one.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._env = dict(env or {})
        if self._points if points is None else points:
            self._env[injection.FOLDER] = str(self.folder)
        if injection.HINTS in self._env:
            self._env[injection.HINTS_FILE] = str(self._hints)
            self._hints.write_bytes(b"")
        self._inngest = {"LEASE_TTL": f"{LEASE_TTL:g}s", **inngest}
        self._options = {"options": options, "concurrency": concurrency}
        self.kill_worker()
        return self.stack.start_worker(inngest=self._inngest, env=self._env, **self._options)

    def kill_worker(self) -> None:
        """End the worker in the quickest way; these tests show that it does no harm."""
        if self.stack.worker is not None:
            self.stack.worker.kill()
            self.stack.worker = None

    def ensure_worker(self) -> None:
        """Start the worker again if it died, as a process manager does."""
        worker = self.stack.worker
        if worker is None or not worker.is_alive():
            if worker is not None:
                worker.kill()
                self.last_words = worker.output()
            self.restarts += 1
            self.stack.start_worker(inngest=self._inngest, env=self._env, **self._options)

    @property
    def worker(self) -> Process:
        """The worker that runs now."""
        assert self.stack.worker
        return self.stack.worker

    def hints(self, letter: bytes) -> int:
        """Return how often a worker wrote this letter of ``injection`` about its hints."""
        return self._hints.read_bytes().count(letter)

    def _continue_stopped(self) -> None:
        worker = self.stack.worker
        if worker is not None and worker.is_alive():
            for pid in worker.children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        """Clean up after a test: nothing armed, nothing stopped, nothing alive."""
        injection.disarm(self.folder)
        self._continue_stopped()
        if self.all_runs().filter(status__in=RUN_LIVE).exists():
            self._abandon()
        self.ensure_worker()

    def _abandon(self) -> None:
        # What a failed test left would be found by the ones that follow.
        self.kill_worker()
        routing.route()
        for run in self.all_runs().filter(status__in=RUN_LIVE):
            cancellation.cancel(run.id, reason="left behind by a test")

    # One run, beside the load ----------------------------------------------------------

    def start(self, function: Function[Any], **data: object) -> Run:
        """Start one function in this drive and return its run when it exists."""
        [run] = self.under_way.start(function, 1, **data)
        return run

    def start_many(self, function: Function[Any], count: int, **data: object) -> list[Run]:
        """Start one function several times at once."""
        return self.under_way.start(function, count, **data)

    def begun(self, run: Run, name: str = "work") -> int:
        """Return the pid of the process that runs a body for the first time, once one does."""
        found = wait_until(
            lambda: ledger.notes(run.id, f"begin {name}"),
            what=f"body {name}",
            explain=lambda: describe(run),
        )
        return found[0].pid

    # The mixed load --------------------------------------------------------------------

    def drive(
        self,
        *,
        sets: int = 1,
        timeout: float = PATIENCE,
        meanwhile: Callable[[], None] = lambda: None,
        strikes: Sequence[Strike] = (),
        bound: float = BOUND,
        count: Callable[[], int] = lambda: 0,
    ) -> Report:
        """Send the mixed load, wait for all that follows from it, and check every promise.

        Args:
            sets: How many of each function.
            meanwhile: Called again and again until all have ended.
            strikes: Faults; the load goes on until all have struck.
            bound: Seconds within which work must move after each fault, those that strike at
                a point and those that are counted, too.
            count: Returns how many faults that are no strikes struck since the drive began.

        Raises:
            AssertionError: A promise was broken, or something did not end; says which.
        """
        self.restarts = 0
        with metronome() as probe:
            self.under_way = Drive(
                self, sets=sets, strikes=strikes, bound=bound, probe=probe, count=count
            )
            return self.under_way.finish(timeout, meanwhile)

    @staticmethod
    def all_runs() -> Any:
        """The runs of this folder's functions."""
        return Run.objects.filter(function_id__startswith="faults-")


def job_of(run: Run) -> Job:
    """Return the run's one job."""
    return Job.objects.get(run=run)


@contextlib.contextmanager
def running(stack: ProcessStack, *, heal: bool = True, points: bool = False) -> Iterator[Arena]:
    """Give an arena whose worker has short leases.

    Args:
        points: Whether it listens for armed points.
        heal: Whether the ordinary worker and beat are wanted here afterwards.
    """
    arena = Arena(stack, points=points)
    shutil.rmtree(arena.folder, ignore_errors=True)
    audit.install()
    arena.start_worker()
    try:
        yield arena
    finally:
        arena.kill_worker()
        if heal:
            stack.heal()
        audit.remove()
