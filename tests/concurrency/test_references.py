"""Row 5: engine locks leave rows that others refer to open for references.

A row that is inserted locks what it refers to, ``FOR KEY SHARE``. Locks of the engine let that
through; with the full lock of a row it waits, and where both wait for each other they deadlock.
Each test has both: the statements as they are, and with the full lock in their place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from inngest_django.engine import executor, routing, runs, stamping, sync, transactions
from inngest_django.models import Counter, Event, Job, Run, Step, Wait
from tests import factories
from tests.concurrency.stage import BOTH_WAYS, Actor, Stage
from tests.concurrency.test_events_and_waits import enter, is_resumed
from tests.engine.support import Engine, assert_sound

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("way")]

OURS, FULL = "FOR NO KEY UPDATE", "FOR UPDATE"
LOCKS = pytest.mark.parametrize("lock", [OURS, FULL])


def refer(stage: Stage, work: Callable[[], Any], *, past: str) -> Actor:
    """Start somebody whose new row refers to one that is locked; held up by a full lock only."""
    actor = stage.actor(work, "referring").start()
    if past == FULL:
        return actor.blocked()
    actor.done()
    return actor


def _settle_with_the_event_of_a_router(engine: Engine, stage: Stage, run: Run, lock: str) -> None:
    engine.send("test/go")
    router = stage.actor(routing.route).rewrite(OURS, lock)
    router.stop_at("route.start_written").start().paused()

    scan = refer(stage, lambda: enter(run), past=lock)

    assert not router.has_ended
    assert Wait.objects.filter(matched_event__name="test/go").exists() is (lock == OURS)
    router.go().done()
    scan.done()
    assert is_resumed(engine, run)


@BOTH_WAYS
def test_wait_settles_with_an_event_that_a_router_holds(
    engine: Engine, stage: Stage, waiting: Callable[..., Run]
) -> None:
    _settle_with_the_event_of_a_router(engine, stage, waiting(), OURS)


@BOTH_WAYS
def test_router_with_a_full_row_lock_holds_up_the_scan(
    engine: Engine, stage: Stage, waiting: Callable[..., Run]
) -> None:
    _settle_with_the_event_of_a_router(engine, stage, waiting(), FULL)


@BOTH_WAYS
@LOCKS
def test_event_that_is_being_stamped_can_be_referred_to(
    engine: Engine, stage: Stage, lock: str
) -> None:
    # Where it is missing, the stamp makes it and begins anew; the second time, the full lock
    # would skip the event for whoever refers to it by then.
    Counter.objects.get_or_create(id=1, defaults={"last_seq": 0})
    event = Event.objects.get(pk=engine.send("test/go"))
    stamper = stage.actor(stamping.stamp).rewrite(OURS, lock)
    stamper.stop_at("stamp.written").start().paused()

    run = refer(stage, lambda: factories.run(event=event), past=lock)

    assert not stamper.has_ended
    stamper.go().done()
    assert run.done().event == event
    event.refresh_from_db()
    assert event.seq == 1


@BOTH_WAYS
@LOCKS
def test_run_under_an_outcome_can_be_rerun(
    engine: Engine, stage: Stage, waiting: Callable[..., Run], lock: str
) -> None:
    sync.register()
    run = waiting(1)
    outcome = stage.actor(lambda: enter(run)).stop_at("call.end").start().paused()
    outcome.rewrite(OURS, lock)
    with transactions.write():
        # The outcome takes its run's lock and then waits for its job.
        Job.objects.select_for_update().get(run=run)
        outcome.go().blocked()

        rerun = refer(stage, lambda: runs.rerun(run.id), past=lock)

    outcome.done()
    assert rerun.done() == Run.objects.get(original_run=run).pk
    assert Step.objects.filter(run=run, status="completed").count() == 2


@BOTH_WAYS
@LOCKS
def test_run_whose_wait_is_being_settled_can_be_rerun(
    engine: Engine, stage: Stage, waiting: Callable[..., Run], lock: str
) -> None:
    sync.register()
    run = waiting()
    engine.idle()
    engine.send("test/go")
    router = stage.actor(routing.route).rewrite(OURS, lock)
    router.stop_at("route.settle_written").start().paused()

    rerun = refer(stage, lambda: runs.rerun(run.id), past=lock)

    assert not router.has_ended
    router.go().done()
    assert rerun.done() == Run.objects.get(original_run=run).pk
    assert is_resumed(engine, run)


@LOCKS
def test_run_that_begins_can_be_rerun(
    engine: Engine, stage: Stage, waiting: Callable[..., Run], lock: str
) -> None:
    sync.register()
    run = waiting(0)
    worker = stage.actor(lambda: enter(run)).rewrite(OURS, lock)
    with transactions.write():
        # The lease takes the run's lock and then waits for its job.
        Job.objects.select_for_update().get(run=run)
        worker.start().blocked()

        rerun = refer(stage, lambda: runs.rerun(run.id), past=lock)

    worker.done()
    assert rerun.done() == Run.objects.get(original_run=run).pk
    assert_sound(run)


@LOCKS
def test_step_that_begins_can_be_referred_to(
    engine: Engine,
    stage: Stage,
    planned: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    lock: str,
) -> None:
    run = planned()
    step = Step.objects.get(run=run, name="left")
    job_id = Job.objects.get(step=step).pk
    # As after another step of the group: the lease begins the step that it expects.
    monkeypatch.setattr(executor, "_expects_step", True)
    worker = stage.actor(lambda: executor.execute(job_id)).rewrite(OURS, lock)
    with transactions.write():
        Job.objects.select_for_update().get(pk=job_id)
        worker.start().blocked()

        attempt = refer(stage, lambda: factories.attempt(run, step), past=lock)

    worker.done()
    assert attempt.done().step == step
    step.refresh_from_db()
    assert step.status == "completed"
    assert_sound(run)
