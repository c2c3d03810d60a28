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

from inngest_django import Event, Function
from inngest_django.engine import cancellation, routing
from inngest_django.models import Job, Run
from inngest_django.states import RUN_LIVE
from tests import ledger
from tests.faults import audit, injection, load
from tests.faults.drives import Drive, Report, Strike
from tests.faults.recovery import metronome
from tests.functional.support import describe
from tests.processes import Process, ProcessStack, wait_until

LEASE_TTL = 2.0
TICK = 1.0
# Lease, two ticks, and time in queues behind two processes on a busy machine.
BOUND = LEASE_TTL + 2 * TICK + 10
PATIENCE = 60.0


class Arena:
    """Drives a worker with faults in it.

    Attributes:
        folder: Where points are armed.
        restarts: Workers that died and were started again, in this drive.
        under_way: The drive, for faults that send more of it.
    """

    under_way: Drive

    def __init__(self, stack: ProcessStack) -> None:
        self.stack = stack
        self.folder = Path(settings.VAR_DIR) / "faults"
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
        **inngest: object,
    ) -> Process:
        """Stop the worker, if there is one, and start one with this in its environment.

        Args:
            options: Of ``celery worker``.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._env = {injection.FOLDER: str(self.folder), **(env or {})}
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

    # One run ---------------------------------------------------------------------------

    def start(self, function: Function[Any], **data: object) -> Run:
        """Start one function and return its run when it exists."""
        [event_id] = load.client.send_sync(
            Event(name=str(function.triggers[0].event), data=data)  # type: ignore[union-attr]
        )
        return wait_until(
            lambda: self._kept_alive(Run.objects.filter(event_id=event_id).first()),
            what=f"run of {event_id}",
        )

    def start_many(self, function: Function[Any], count: int, **data: object) -> list[Run]:
        """Start one function several times at once."""
        name = str(function.triggers[0].event)  # type: ignore[union-attr]
        ids = load.client.send_sync([Event(name=name, data=data) for _ in range(count)])
        started = Run.objects.filter(event_id__in=ids).order_by("id")
        wait_until(lambda: started.count() == count, what=f"{count} runs")
        return list(started)

    def begun(self, run: Run, name: str = "work") -> int:
        """Return the pid of the process that runs a body for the first time, once one does."""
        found = wait_until(
            lambda: ledger.notes(run.id, f"begin {name}"),
            what=f"body {name}",
            explain=lambda: describe(run),
        )
        return found[0].pid

    def ended(self, run: Run, *, timeout: float = PATIENCE, supervised: bool = True) -> Run:
        """Return a run when it has ended; meanwhile the worker is kept alive."""

        def over() -> Run | None:
            if supervised:
                self.ensure_worker()
            run.refresh_from_db()
            return None if run.is_live else run

        return wait_until(over, timeout, what="end of the run", explain=lambda: describe(run))

    def _kept_alive(self, answer: Run | None) -> Run | None:
        self.ensure_worker()
        return answer

    # The mixed load --------------------------------------------------------------------

    def drive(
        self,
        *,
        sets: int = 1,
        timeout: float = PATIENCE,
        meanwhile: Callable[[], None] = lambda: None,
        strikes: Sequence[Strike] = (),
        bound: float = BOUND,
    ) -> Report:
        """Send the mixed load, wait for all that follows from it, and check every promise.

        Args:
            sets: How many of each function.
            meanwhile: Called again and again until all have ended.
            strikes: Faults; the load goes on until all have struck.
            bound: Seconds within which work must move after each of them.

        Raises:
            AssertionError: A promise was broken, or something did not end; says which.
        """
        self.restarts = 0
        with metronome() if strikes else contextlib.nullcontext() as probe:
            self.under_way = Drive(self, sets=sets, strikes=strikes, bound=bound, probe=probe)
            return self.under_way.finish(timeout, meanwhile)

    @staticmethod
    def all_runs() -> Any:
        """The runs of this folder's functions."""
        return Run.objects.filter(function_id__startswith="faults-")


def job_of(run: Run) -> Job:
    """Return the run's one job."""
    return Job.objects.get(run=run)


@contextlib.contextmanager
def running(stack: ProcessStack, *, heal: bool = True) -> Iterator[Arena]:
    """Give an arena whose worker has short leases and listens for armed points.

    Args:
        heal: Whether the ordinary worker and beat are wanted here afterwards.
    """
    arena = Arena(stack)
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
