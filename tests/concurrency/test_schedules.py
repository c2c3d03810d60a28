"""Two ticks at one schedule, and at two schedules of a function that name the same time."""

from __future__ import annotations

import datetime as dt

import pytest

from inngest_django import ContextSync, TriggerCron, clock
from inngest_django.client import Inngest
from inngest_django.engine import releases, sync
from inngest_django.functions import registry
from inngest_django.models import Run, Schedule
from tests.concurrency.stage import Stage
from tests.engine.support import Engine

pytestmark = pytest.mark.postgres

START = dt.datetime(2026, 3, 1, 11, 30, tzinfo=dt.UTC)


@pytest.fixture
def declared(engine: Engine, client: Inngest) -> None:
    """A function with two schedules, of which both name twelve o'clock; it is due."""

    @client.create_function(
        fn_id="f", trigger=[TriggerCron(cron="0 * * * *"), TriggerCron(cron="0 12 * * *")]
    )
    def function(ctx: ContextSync) -> None:
        return None

    Schedule.objects.all().delete()
    clock.move(START)
    registry.register(function)
    sync.register()
    clock.move(START + dt.timedelta(minutes=30))


@pytest.mark.usefixtures("declared")
def test_a_tick_leaves_to_another_what_that_one_releases(stage: Stage) -> None:
    Schedule.objects.filter(cron="0 12 * * *").delete()
    first = stage.actor(releases.release, "first").stop_before("INSERT INTO .inngest_run")
    first.start().paused()

    second = stage.actor(releases.release, "second").start().done()
    ended = first.go().done()

    assert (ended, second) == (1, 0)
    assert Run.objects.count() == 1


@pytest.mark.usefixtures("declared")
def test_a_tick_that_saw_a_schedule_due_looks_again_once_it_holds_it(stage: Stage) -> None:
    Schedule.objects.filter(cron="0 12 * * *").delete()
    first = stage.actor(releases.release, "first").stop_before("FOR NO KEY UPDATE SKIP LOCKED")
    first.start().paused()

    second = stage.actor(releases.release, "second").start().done()
    ended = first.go().done()

    assert (ended, second) == (0, 1)
    assert Run.objects.count() == 1


@pytest.mark.usefixtures("declared")
def test_two_ticks_with_a_schedule_each_start_a_function_once_for_a_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "_BATCH", 1)
    first = stage.actor(releases.release, "first").stop_before("INSERT INTO .inngest_run")
    first.start().paused()
    second = stage.actor(releases.release, "second").start().blocked()

    ended = first.go().done()

    assert (ended, second.done()) == (1, 0)
    assert Run.objects.count() == 1
    assert not Schedule.objects.filter(next_at__lte=clock.now()).exists()
