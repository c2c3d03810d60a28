"""Outcomes sent in one message: the lock is a statement of its own there too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from inngest_django.engine import cancellation, executor, hot_path, transactions
from inngest_django.engine.hot_path import exchanges, wire
from inngest_django.models import Job, Run, Step
from inngest_django.steps.groups import ParallelMode
from tests.concurrency.stage import Stage
from tests.concurrency.test_joins import jobs_of
from tests.engine.support import Engine, assert_sound

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize("mode", list(ParallelMode))
def test_two_last_branches_that_both_wait_for_the_lock_leave_one_entry(
    engine: Engine, stage: Stage, planned: Callable[..., Run], mode: ParallelMode
) -> None:
    assert hot_path.can_exchange()
    run = planned(parallel_mode=mode)
    jobs = jobs_of(run)

    with transactions.write() as cursor:
        hot_path.lock_run(cursor, run.id)
        both = [
            stage.actor(lambda name=name: executor.execute(jobs[name]), name).start()
            for name in ("left", "right")
        ]
        for actor in both:
            actor.blocked()
    for actor in both:
        actor.done()
    assert [job.kind for job in Job.objects.filter(run=run)] == ["enter"]
    assert set(Step.objects.filter(run=run).values_list("revision", flat=True)) == {1, 2}
    engine.idle()
    run.refresh_from_db()
    assert run.output == ["left", "right"]
    assert_sound(run)


def test_a_cancel_that_holds_the_lock_is_seen_by_the_message_that_waits(
    engine: Engine, stage: Stage, planned: Callable[..., Run]
) -> None:
    run = planned()
    jobs = jobs_of(run)

    cancel = stage.actor(lambda: cancellation.cancel(run.id), "cancel")
    cancel.stop_after("UPDATE .inngest_run. SET .status.").start().paused()
    left = stage.actor(lambda: executor.execute(jobs["left"]), "left").start().blocked()
    cancel.go().done()
    left.done()

    run.refresh_from_db()
    assert run.status == "cancelled"
    assert not Step.objects.filter(run=run, status="completed").exists()
    assert_sound(run)


def _plan_against_a_cancel(
    engine: Engine, stage: Stage, declare: Any, *, waits: bool = True
) -> Run:
    """An entry has met its group; a cancel has closed all steps; then the plan is written."""

    @declare()
    def fan(ctx):
        return ctx.group.parallel((lambda: ctx.step.run("a", str), lambda: ctx.step.run("b", str)))

    event_id = engine.send("test/started")
    engine.step()
    run = engine.run_of(event_id)
    job_id = Job.objects.get(run=run).pk
    entry = stage.actor(lambda: executor.execute(job_id), "entry").stop_at("call.end")
    entry.start().paused()
    cancel = stage.actor(lambda: cancellation.cancel(run.id), "cancel")
    cancel.stop_after("UPDATE .inngest_step. SET .status.").start().paused()
    entry.go()
    if waits:
        entry.blocked()
    else:
        entry.done()
    cancel.go().done()
    entry.done()
    assert entry.errors + cancel.errors == []
    run.refresh_from_db()
    assert run.status == "cancelled"
    return run


def test_a_plan_that_waits_for_the_lock_sees_the_cancel(
    engine: Engine, stage: Stage, declare: Any
) -> None:
    run = _plan_against_a_cancel(engine, stage, declare)

    assert not Step.objects.filter(run=run).exists()
    assert_sound(run)


def test_without_the_lock_a_plan_outlives_the_cancel(
    engine: Engine, stage: Stage, declare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        exchanges, "_exchange", lambda leased, text, params: wire.exchange((text, params))
    )

    run = _plan_against_a_cancel(engine, stage, declare, waits=False)

    assert [step.status for step in Step.objects.filter(run=run)] == ["planned", "planned"]
