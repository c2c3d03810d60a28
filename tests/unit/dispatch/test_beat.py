"""The rows of django-celery-beat: made once, then the operator's."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from inngest_django import conf
from inngest_django.dispatch import beat

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_rows(db: None) -> None:
    PeriodicTask.objects.filter(name__startswith="inngest: ").delete()


def _tick() -> PeriodicTask:
    return PeriodicTask.objects.get(name=beat.TICK_NAME)


def test_rows_are_made_with_queue_interval_and_expiry() -> None:
    beat.ensure_periodic_tasks(using="default")

    tick, prune = PeriodicTask.objects.filter(name__startswith="inngest: ").order_by("-name")
    control = conf.get().CONTROL_QUEUE
    assert (tick.task, tick.queue, tick.enabled) == ("inngest.tick", control, True)
    assert (tick.interval.every, tick.interval.period) == (1, "seconds")
    assert tick.expire_seconds == 10
    assert (prune.task, prune.queue) == ("inngest.prune", control)
    assert (prune.interval.every, prune.interval.period) == (3600, "seconds")


def test_migrate_makes_the_rows() -> None:
    call_command("migrate", verbosity=0)

    assert PeriodicTask.objects.filter(name__startswith="inngest: ").count() == 2


def test_second_time_makes_nothing_and_wakes_nobody() -> None:
    beat.ensure_periodic_tasks(using="default")
    changed = PeriodicTasks.last_change()
    schedules = IntervalSchedule.objects.count()

    beat.ensure_periodic_tasks(using="default")

    assert PeriodicTask.objects.filter(name__startswith="inngest: ").count() == 2
    assert IntervalSchedule.objects.count() == schedules
    assert PeriodicTasks.last_change() == changed


def test_beat_is_told_of_a_new_row() -> None:
    before = PeriodicTasks.last_change()

    beat.ensure_periodic_tasks(using="default")

    assert PeriodicTasks.last_change() != before


def test_what_an_operator_changed_stays() -> None:
    beat.ensure_periodic_tasks(using="default")
    slower = IntervalSchedule.objects.create(every=7, period="seconds")
    PeriodicTask.objects.filter(name=beat.TICK_NAME).update(
        enabled=False, interval=slower, expire_seconds=99
    )

    beat.ensure_periodic_tasks(using="default")

    tick = _tick()
    assert (tick.enabled, tick.interval, tick.expire_seconds) == (False, slower, 99)


def test_row_that_no_longer_fits_the_settings_is_told(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    beat.ensure_periodic_tasks(using="default")
    settings.INNGEST = {"CONTROL_QUEUE": "elsewhere"}

    beat.ensure_periodic_tasks(using="default")

    assert _tick().queue != "elsewhere"
    assert '"inngest: tick" sends to queue' in caplog.text
    assert "delete it and run migrate" in caplog.text


def test_two_schedules_of_one_length_are_no_obstacle() -> None:
    IntervalSchedule.objects.create(every=1, period="seconds")
    IntervalSchedule.objects.create(every=1, period="seconds")

    beat.ensure_periodic_tasks(using="default")

    assert _tick().interval.every == 1


def test_tick_of_less_than_a_second(settings: Any) -> None:
    settings.INNGEST = {"TICK": "250ms"}

    beat.ensure_periodic_tasks(using="default")

    assert (_tick().interval.every, _tick().interval.period) == (250_000, "microseconds")


def test_other_database_gets_no_rows() -> None:
    beat.ensure_periodic_tasks(using="reporting")

    assert not PeriodicTask.objects.filter(name__startswith="inngest: ").exists()


def test_rows_are_where_beat_reads_them_not_where_the_engine_is(settings: Any) -> None:
    settings.INNGEST = {"DATABASE": "jobs"}

    beat.ensure_periodic_tasks(using="jobs")
    assert not PeriodicTask.objects.filter(name__startswith="inngest: ").exists()

    beat.ensure_periodic_tasks(using="default")
    assert PeriodicTask.objects.filter(name__startswith="inngest: ").count() == 2


def test_nothing_happens_before_beats_tables_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import connection

    monkeypatch.setattr(connection.introspection, "table_names", lambda *_: ["inngest_run"])

    beat.ensure_periodic_tasks(using="default")

    assert not PeriodicTask.objects.filter(name__startswith="inngest: ").exists()
