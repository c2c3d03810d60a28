"""Outcomes sent in one message: the lock is a statement of its own there too."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from inngest_django.engine import cancellation, executor, hot_path, transactions
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
