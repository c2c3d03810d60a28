"""Outcomes sent in one message: the lock is a statement of its own there too."""

from __future__ import annotations

from typing import Any

import pytest

from inngest_django.engine import cancellation, executor, hot_path, transactions
from inngest_django.models import Job, Run, Step
from inngest_django.steps.groups import ParallelMode
from tests.concurrency.stage import Stage
from tests.engine.support import Engine, assert_sound

pytestmark = pytest.mark.postgres


def _at_branches(engine: Engine, declare: Any, mode: ParallelMode) -> tuple[Run, dict[str, int]]:
    @declare()
    def fan(ctx):
        return ctx.group.parallel(
            tuple(lambda n=n: ctx.step.run(n, lambda: n) for n in ("left", "right")),
            parallel_mode=mode,
        )

    event_id = engine.send("test/started")
    engine.step()
    engine.step()
    run = engine.run_of(event_id)
    return run, {job.step.name: job.pk for job in Job.objects.filter(run=run, kind="step")}


@pytest.mark.parametrize("mode", list(ParallelMode))
def test_two_last_branches_that_both_wait_for_the_lock_leave_one_entry(
    engine: Engine, stage: Stage, declare: Any, mode: ParallelMode
) -> None:
    assert hot_path.can_exchange()
    run, jobs = _at_branches(engine, declare, mode)

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
    engine: Engine, stage: Stage, declare: Any
) -> None:
    run, jobs = _at_branches(engine, declare, ParallelMode.WAIT)

    cancel = stage.actor(lambda: cancellation.cancel(run.id), "cancel")
    cancel.stop_after("UPDATE .inngest_run. SET .status.").start().paused()
    left = stage.actor(lambda: executor.execute(jobs["left"]), "left").start().blocked()
    cancel.go().done()
    left.done()

    run.refresh_from_db()
    assert run.status == "cancelled"
    assert not Step.objects.filter(run=run, status="completed").exists()
    assert_sound(run)
