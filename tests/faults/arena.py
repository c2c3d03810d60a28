"""The worker and beat under test, a load, and what became of it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from inngest_django import Event, Function
from inngest_django.engine import cancellation, routing
from inngest_django.models import Event as EventRow
from inngest_django.models import Job, Run, Wait
from inngest_django.states import RUN_LIVE
from tests import ledger
from tests.faults import audit, injection, load
from tests.functional.support import describe, unique
from tests.processes import Process, ProcessStack, wait_until

LEASE_TTL = 2.0
TICK = 1.0
# Lease, two ticks, and time in queues behind two processes on a busy machine.
BOUND = LEASE_TTL + 2 * TICK + 10
PATIENCE = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """How a load went.

    Attributes:
        took: Seconds from the first event to the last end.
        extra_calls: Bodies called again because a worker died in or after them.
    """

    runs: tuple[Run, ...]
    took: float
    extra_calls: int
    restarts: int

    def __str__(self) -> str:
        return (
            f"{len(self.runs)} runs in {self.took:.1f} s, {self.extra_calls} bodies called"
            f" again, {self.restarts} workers restarted"
        )


class Arena:
    """Drives a worker with faults in it.

    Attributes:
        folder: Where points are armed.
    """

    def __init__(self, stack: ProcessStack) -> None:
        self.stack = stack
        self.folder = Path(settings.VAR_DIR) / "faults"
        self._env: dict[str, str] = {}
        self._inngest: dict[str, object] = {}
        self._restarts = 0

    # Worker ----------------------------------------------------------------------------

    def start_worker(self, env: Mapping[str, str] | None = None, **inngest: object) -> Process:
        """Stop the worker, if there is one, and start one with this in its environment."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._env = {injection.FOLDER: str(self.folder), **(env or {})}
        self._inngest = {"LEASE_TTL": f"{LEASE_TTL:g}s", **inngest}
        self.kill_worker()
        return self.stack.start_worker(inngest=self._inngest, env=self._env)

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
            self._restarts += 1
            self.stack.start_worker(inngest=self._inngest, env=self._env)

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
        if self._runs().filter(status__in=RUN_LIVE).exists():
            self._abandon()
        self.ensure_worker()

    def _abandon(self) -> None:
        # What a failed test left would be found by the ones that follow.
        self.kill_worker()
        routing.route()
        for run in self._runs().filter(status__in=RUN_LIVE):
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
    ) -> Report:
        """Send the mixed load, wait for all that follows from it, and check every promise.

        Args:
            sets: How many of each function.
            meanwhile: Called again and again until all have ended.

        Raises:
            AssertionError: A promise was broken, or something did not end; says which.
        """
        before = set(self._runs().values_list("id", flat=True))
        self._restarts = 0
        started = time.monotonic()
        sent: list[str] = []
        late: list[str] = []
        for _ in range(sets):
            early, key = unique("key"), unique("key")
            sent += load.client.send_sync(
                [Event(name=name, data={"key": key}) for name in load.MIXED]
            )
            # Two waiters: the answer of one is there before it asks, the other's comes after.
            sent += load.client.send_sync(
                [Event(name="faults/waiter", data={"key": early}), _answer(early)]
            )
            late.append(key)
        wanted = Counter(dict.fromkeys(load.OUTCOMES, sets))
        wanted["faults-waiter"] *= 2

        def over() -> bool:
            self.ensure_worker()
            meanwhile()
            while late and self._waits_for(late[0]):
                sent.extend(load.client.send_sync(_answer(late.pop(0))))
            problems = audit.unsound()
            if problems:
                raise AssertionError("; ".join(problems))
            runs = self._runs().exclude(id__in=before)
            return (
                not late
                and not runs.filter(status__in=RUN_LIVE).exists()
                and not EventRow.objects.filter(id__in=sent, routed_at=None).exists()
                and Counter(runs.values_list("function_id", flat=True)) >= wanted
            )

        wait_until(over, timeout, what="end of the load", explain=lambda: self._explain(before))
        took = time.monotonic() - started
        runs = tuple(self._runs().exclude(id__in=before).order_by("id"))
        problems = audit.check(runs)
        if Counter(run.function_id for run in runs) != wanted:
            problems.append(f"runs {Counter(run.function_id for run in runs)}, not {wanted}")
        if problems:
            raise AssertionError("\n".join(problems))
        return Report(runs, took, audit.extra_calls(runs), self._restarts)

    @staticmethod
    def _waits_for(key: str) -> bool:
        return Wait.objects.filter(
            event_name="faults/answered", status="open", run__event__data__contains=key
        ).exists()

    @staticmethod
    def _runs() -> Any:
        return Run.objects.filter(function_id__startswith="faults-")

    def _explain(self, before: set[str]) -> str:
        stuck = self._runs().exclude(id__in=before).filter(status__in=RUN_LIVE)
        unrouted = EventRow.objects.filter(routed_at=None).count()
        logs = "\n".join(
            f"--- {name}\n" + "\n".join(text.splitlines()[-60:]) for name, text in self.stack.logs()
        )
        return "\n".join(
            [f"{unrouted} events are not routed", *(describe(run) for run in stuck), logs]
        )


def _answer(key: str) -> Event:
    return Event(name="faults/answered", data={"key": key, "text": "yes"})


def job_of(run: Run) -> Job:
    """Return the run's one job."""
    return Job.objects.get(run=run)


@contextlib.contextmanager
def running(stack: ProcessStack) -> Iterator[Arena]:
    """Give an arena whose worker has short leases and listens for armed points."""
    arena = Arena(stack)
    shutil.rmtree(arena.folder, ignore_errors=True)
    audit.install()
    arena.start_worker()
    try:
        yield arena
    finally:
        arena.kill_worker()
        stack.heal()
        audit.remove()
