"""Workers that are killed, stopped, orphaned or told to stop while a body runs."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import time
from collections.abc import Callable, Iterable

import pytest

from inngest_django import Function
from inngest_django.models import Run
from inngest_django.states import RUN_LIVE
from tests import ledger
from tests.faults import load, recovery
from tests.faults.arena import BOUND, LEASE_TTL, START, Arena, job_of
from tests.faults.drives import Strike
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules
from tests.faults.recovery import Held
from tests.processes import ProcessStack, wait_until

pytestmark = pytest.mark.faults

KINDS = pytest.mark.parametrize(
    "function", [pytest.param(load.single, id="run"), pytest.param(load.writer, id="transaction")]
)


# Results of the load that are there before a fault strikes.
AFTER = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Struck:
    """A run whose body a fault met, the process that ran it, and what was held at that moment."""

    run: Run
    pid: int
    held: Held = dataclasses.field(default_factory=recovery.cleared)


def struck(
    arena: Arena, blow: Callable[[], Struck], *, restarts: int, bound: float = BOUND
) -> Struck:
    """Strike at one run beside the mixed load; returns it when all have kept every promise."""
    found: list[Struck] = []

    def strike() -> Held:
        found.append(blow())
        return found[0].held

    bound += START * restarts
    report = arena.drive(timeout=90, strikes=[Strike(AFTER, strike)], bound=bound)
    print(report)
    assert report.recoveries[0].held
    assert report.restarts == restarts
    found[0].run.refresh_from_db()
    return found[0]


def calls(run: Run, name: str = "work") -> list[int]:
    """Return the pids of the processes that called a body, oldest first."""
    return [note.pid for note in ledger.notes(run.id, f"begin {name}")]


@pytest.mark.matrix(1, "child killed in a body")
@KINDS
def test_a_child_killed_in_a_body_is_replaced_by_another(
    arena: Arena, function: Function[object]
) -> None:
    def kill() -> Struck:
        run = arena.start(function, fault={"work": "kill"})
        return Struck(run, arena.begun(run))

    found = struck(arena, kill, restarts=0)

    first, second = calls(found.run)
    assert first == found.pid
    assert found.run.status == "completed"
    assert found.run.output["pid"] == second != found.pid


@pytest.mark.slow
def test_a_child_killed_in_a_body_is_replaced_with_the_default_lease_too(arena: Arena) -> None:
    """What docs/explanation/guarantees.md calls the bound: 20 s and two ticks, and queueing."""

    def kill() -> Struck:
        run = arena.start(load.single, fault={"work": "kill"})
        return Struck(run, arena.begun(run))

    arena.start_worker(LEASE_TTL="20s")
    try:
        found = struck(arena, kill, restarts=0, bound=BOUND - LEASE_TTL + 20)
    finally:
        arena.start_worker()

    assert found.run.status == "completed"
    assert len(calls(found.run)) == 2


@pytest.mark.matrix(2, "whole worker killed")
@KINDS
def test_a_worker_killed_whole_in_a_body_is_survived(
    arena: Arena, function: Function[object]
) -> None:
    def kill() -> Struck:
        run = arena.start(function, fault={"work": "hang"})
        pid = arena.begun(run)
        arena.worker.kill()
        return Struck(run, pid)

    found = struck(arena, kill, restarts=1)

    assert found.run.status == "completed"
    first, second = calls(found.run)
    assert found.run.output["pid"] == second != first == found.pid


def test_a_branch_whose_worker_is_killed_joins_once(arena: Arena) -> None:
    def kill() -> Struck:
        run = arena.start(load.group, fault={"left": "kill", "side": "kill"})
        arena.begun(run, "left")
        return Struck(run, arena.begun(run, "side"))

    run = struck(arena, kill, restarts=0).run

    assert len(calls(run, "left")) == len(calls(run, "side")) == 2
    assert len(calls(run, "joined")) == 1


def test_a_step_that_always_kills_its_worker_ends_as_failed(arena: Arena) -> None:
    def kill() -> Struck:
        run = arena.start(load.stubborn, fault={"work": "kill", "always": True})
        return Struck(run, arena.begun(run))

    run = struck(arena, kill, restarts=0).run

    assert run.status == "failed"
    assert run.steps.get().error["code"] == "worker_lost"
    assert 1 <= len(calls(run)) <= 5


@pytest.mark.matrix(36, "main process killed alone")
@KINDS
def test_orphans_end_and_write_nothing_when_the_main_process_is_killed(
    arena: Arena, function: Function[object]
) -> None:
    def kill_main() -> Struck:
        run = arena.start(function, fault={"work": "hang"})
        worker, orphan = arena.worker, arena.begun(run)
        worker.kill_main()
        found = Struck(run, orphan)
        wait_until(lambda: not worker.children(), 10, what="end of the orphans")
        # Only now: with an orphan alive it could have been the orphan that went on.
        ledger.note(run.id, "released")
        return found

    found = struck(arena, kill_main, restarts=1)

    run, orphan = found.run, found.pid
    assert run.status == "completed"
    assert orphan not in calls(run)[1:]
    assert run.output["pid"] == calls(run)[-1] != orphan
    assert ledger.notes(run.id, "end work")[0].pid != orphan


@pytest.mark.matrix(36, "main process killed alone")
@KINDS
def test_an_orphan_that_hangs_through_the_takeover_writes_nothing(
    arena: Arena, function: Function[object]
) -> None:
    """It can neither end itself nor renew; it comes back when another worker has the job."""

    def kill_main() -> Struck:
        run = arena.start(function, fault={"work": "freeze", "after": "hang"})
        old, orphan = arena.worker, arena.begun(run)
        old.kill_main()
        found = Struck(run, orphan)
        arena.ensure_worker()
        arena.begun(run, "after")
        wait_until(lambda: orphan not in old.children(), what="end of the orphan")
        ledger.note(run.id, "released")
        return found

    found = struck(arena, kill_main, restarts=1)

    assert found.run.output["pid"] == calls(found.run)[1] != found.pid


@pytest.mark.matrix(5, "worker stopped past its lease, then continued")
@KINDS
def test_a_process_that_wakes_after_its_lease_is_refused(
    arena: Arena, function: Function[object]
) -> None:
    def stop() -> Struck:
        run = arena.start(function, fault={"work": "stop", "after": "hang"})
        found = Struck(run, arena.begun(run))
        # The run is past the step, and lives: only the lease's token can refuse the late one.
        arena.begun(run, "after")
        assert _is_stopped(found.pid)
        refusals = arena.worker.output().count("the lease was lost")
        os.kill(found.pid, signal.SIGCONT)
        wait_until(
            lambda: arena.worker.output().count("the lease was lost") > refusals,
            what="refusal in the log",
            explain=arena.worker.output,
        )
        ledger.note(run.id, "released")
        return found

    found = struck(arena, stop, restarts=0)

    assert found.run.output["pid"] == calls(found.run)[1] != found.pid
    assert [note.pid for note in ledger.notes(found.run.id, "end work")][-1] == found.pid


@pytest.mark.matrix(3, "worker told to stop, grace too short")
def test_a_worker_told_to_stop_is_not_charged_for_what_it_leaves_behind(arena: Arena) -> None:
    """The function has no retries: one charged attempt would fail it."""

    def stop() -> Struck:
        run = arena.start(load.stubborn, fault={"work": "hang"})
        left = arena.begun(run)
        arena.worker.send_signal(signal.SIGTERM)
        wait_until(lambda: job_of(run).is_draining, what="note that the worker drains")
        arena.worker.kill()
        return Struck(run, left)

    found = struck(arena, stop, restarts=1)

    assert found.run.status == "completed"
    assert found.run.output["attempt"] == 0
    assert found.run.output["pid"] != found.pid


def test_a_worker_told_to_stop_finishes_a_body_that_ends_in_time(arena: Arena) -> None:
    def stop() -> Struck:
        run = arena.start(load.single, fault={"work": "hang"})
        worker, busy = arena.worker, arena.begun(run)
        worker.send_signal(signal.SIGTERM)
        wait_until(lambda: job_of(run).is_draining, what="note that the worker drains")
        time_at_term = time.monotonic()
        # Longer than a lease: it goes on renewing while it drains.
        wait_until(lambda: time.monotonic() - time_at_term > LEASE_TTL * 1.5, what="patience")
        ledger.note(run.id, "released")
        wait_until(lambda: not worker.is_alive(), what="end of the worker")
        return Struck(run, busy)

    found = struck(arena, stop, restarts=1)

    assert found.run.output == {"pid": found.pid, "attempt": 0}
    assert calls(found.run) == [found.pid]


@pytest.mark.matrix(3, "rolling restarts")
@pytest.mark.timeout(240)
@pytest.mark.parametrize("sets", [4, pytest.param(12, marks=pytest.mark.slow)])
def test_rolling_restarts_under_load_lose_nothing(arena: Arena, sets: int) -> None:
    was_busy: list[bool] = []

    def roll() -> None:
        was_busy.append(arena.all_runs().filter(status__in=RUN_LIVE).exists())
        # A grace that is too short, as an impatient orchestrator gives.
        arena.worker.send_signal(signal.SIGTERM)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not arena.worker.is_alive(), 0.3)
        arena.worker.kill()
        arena.ensure_worker()

    # By what was done, not by the clock: a quick machine would be through before the second.
    strikes = [Strike(after=sets * results, blow=roll) for results in (4, 9, 14, 19)]
    report = arena.drive(sets=sets, timeout=15.0 * sets, strikes=strikes)

    print(f"rolling restarts: {report}")
    assert report.restarts == 4
    assert sum(was_busy) >= 3


@pytest.mark.matrix(4, "old and new worker of one name")
def test_two_workers_of_one_name_share_the_work_and_one_may_die(arena: Arena) -> None:
    """As in a deploy that starts the new one before the old one is gone."""
    # With it RabbitMQ has a queue of the name, and refuses the second worker.
    alone = {"INNGEST_TEST_CELERY": json.dumps({"CELERY_WORKER_ENABLE_REMOTE_CONTROL": False})}
    arena.start_worker(alone)
    new, old = ProcessStack(), arena.worker
    new.start_worker(inngest={"LEASE_TTL": f"{LEASE_TTL:g}s"}, env=alone)
    assert new.worker
    try:
        report = arena.drive(sets=3, strikes=[Strike(after=15, blow=old.kill)])
        assert {note.pid for note in _bodies(report.runs)} & set(new.worker.children())
    finally:
        new.worker.kill()

    print(f"two workers of one name, one killed: {report}")
    assert report.restarts == 1


def _bodies(runs: Iterable[Run]) -> list[ledger.Note]:
    return [note for run in runs for note in ledger.notes(run.id)]


def _is_stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"
