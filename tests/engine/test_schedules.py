"""Functions that the clock starts: each time once, whatever happens around it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from inngest_django import Cancel, ContextSync, Function, TriggerCron, TriggerEvent, clock
from inngest_django.client import Inngest
from inngest_django.engine import releases, runs, schedules, sync
from inngest_django.functions import registry
from inngest_django.models import Event, IdempotencyKey, Run, Schedule
from tests.engine.support import Engine, assert_sound

START = dt.datetime(2026, 3, 1, 11, 30, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
HOURLY = TriggerCron(cron="0 * * * *")


@pytest.fixture
def engine(engine: Engine) -> Engine:
    # Those of functions that the tests' installed apps have.
    Schedule.objects.all().delete()
    releases._told.clear()
    clock.move(START)
    return engine


def scheduled(
    client: Inngest, *triggers: TriggerCron | TriggerEvent, fn_id: str = "f", **options: Any
) -> Function:
    """Return a function that returns the time for which it was started; registered."""

    @client.create_function(fn_id=fn_id, trigger=list(triggers or (HOURLY,)), **options)
    def function(ctx: ContextSync) -> Any:
        return ctx.event.data.get("scheduledAt")

    registry.register(function)
    return function


def released(fn_id: str = "test-f") -> list[str]:
    """The times for which a function has runs, oldest first; each run has ended well."""
    found = list(Run.objects.filter(function_id=fn_id).order_by("id"))
    for run in found:
        assert_sound(run)
        assert run.status == "completed"
    return sorted(run.output for run in found)


def hours(*names: int, day: int = 1) -> list[str]:
    return [f"2026-03-{day:02}T{hour:02}:00:00Z" for hour in names]


def test_a_time_starts_one_run_with_an_event_that_names_it(engine: Engine, client: Inngest) -> None:
    scheduled(client, TriggerCron(cron="TZ=Europe/Oslo 15 13 * * *"))
    sync.register()

    engine.advance(dt.timedelta(minutes=44))
    assert not Run.objects.exists()
    engine.advance(dt.timedelta(minutes=1))

    run = Run.objects.select_related("event").get()
    assert run.status == "completed"
    assert run.event.name == "inngest/scheduled.timer"
    assert run.event.external_id == "2026-03-01T12:15:00Z"
    assert run.event.data == {
        "cron": "TZ=Europe/Oslo 15 13 * * *",
        "scheduledAt": "2026-03-01T12:15:00Z",
        "fireAt": "2026-03-01T12:15:00Z",
    }
    assert run.event.ts == int((START + 45 * dt.timedelta(minutes=1)).timestamp() * 1000)
    row = Schedule.objects.get()
    assert row.last_at == dt.datetime(2026, 3, 1, 12, 15, tzinfo=dt.UTC)
    assert row.next_at == dt.datetime(2026, 3, 2, 12, 15, tzinfo=dt.UTC)


def test_a_time_comes_again_and_again(engine: Engine, client: Inngest) -> None:
    scheduled(client)
    sync.register()

    for _ in range(6):
        engine.advance(HOUR / 2)

    assert released() == hours(12, 13, 14)


def test_a_tick_releases_what_is_due_before_the_next_one_and_nothing_begins_early(
    engine: Engine, client: Inngest
) -> None:
    scheduled(client)
    sync.register()

    engine.advance(HOUR / 2 - dt.timedelta(milliseconds=400))

    run = Run.objects.get()
    assert (run.status, run.started_at) == ("queued", None)
    assert run.jobs.get().available_at == START + HOUR / 2
    # The hint with that delay is lost here; the tick finds the job.
    engine.advance(dt.timedelta(seconds=5))
    assert released() == hours(12)


def test_ticks_release_a_time_once(engine: Engine, client: Inngest) -> None:
    scheduled(client)
    sync.register()
    clock.move(START + HOUR / 2)

    assert [releases.release() for _ in range(3)] == [1, 0, 0]


def test_two_triggers_of_a_function_that_name_one_time_start_it_once(
    engine: Engine, client: Inngest
) -> None:
    scheduled(client, HOURLY, TriggerCron(cron="0 12 * * *"))
    scheduled(client, HOURLY, fn_id="other")
    sync.register()

    engine.advance(HOUR / 2)

    assert released() == hours(12)
    assert released("test-other") == hours(12)
    assert {row.next_at.hour for row in Schedule.objects.filter(function_id="test-f")} == {13, 12}


def test_times_that_passed_while_nothing_ran_are_made_up_for_in_their_order(
    engine: Engine, client: Inngest
) -> None:
    scheduled(client)
    sync.register()

    engine.advance(5 * HOUR)

    assert released() == hours(12, 13, 14, 15, 16)
    events = list(Event.objects.filter(runs__isnull=False).order_by("id"))
    assert [event.data["scheduledAt"] for event in events] == hours(12, 13, 14, 15, 16)
    # They say when they really began.
    assert {event.data["fireAt"] for event in events} == {"2026-03-01T16:30:00Z"}


def test_of_very_many_missed_times_the_newest_are_made_up_for(
    engine: Engine, client: Inngest, caplog: pytest.LogCaptureFixture
) -> None:
    scheduled(client, TriggerCron(cron="* * * * *"))
    sync.register()

    clock.move(START + 3 * HOUR)
    for _ in range(6):
        engine.tick()

    found = released()
    assert len(found) == releases.MOST_MISSED == 100
    assert (found[0], found[-1]) == ("2026-03-01T12:51:00Z", "2026-03-01T14:30:00Z")
    [record] = [r for r in caplog.records if "are left out" in r.getMessage()]
    assert "before 2026-03-01T12:51:00+00:00" in record.getMessage()


@pytest.mark.parametrize("missed", [99, 100, 101])
def test_the_bound_of_missed_times_is_exact(engine: Engine, client: Inngest, missed: int) -> None:
    scheduled(client, TriggerCron(cron="* * * * *"))
    sync.register()
    clock.move(START + missed * dt.timedelta(minutes=1))

    counts = [releases.release() for _ in range(6)]

    assert sum(counts) == min(missed, 100)
    # A tick does a part of them, so that routing in the same queue waits no longer than that.
    assert counts[0] == 20
    assert counts[-1] == 0


def test_jitter_delays_a_start_by_the_same_time_for_everybody(
    engine: Engine, client: Inngest
) -> None:
    scheduled(client, TriggerCron(cron="0 * * * *", jitter="5m"))
    sync.register()
    row = Schedule.objects.get()
    delay = row.fires_at - row.next_at
    assert row.next_at == START + HOUR / 2
    assert dt.timedelta(seconds=1) <= delay < dt.timedelta(minutes=5)

    sync.register()
    assert Schedule.objects.get().fires_at == row.fires_at
    engine.advance(HOUR / 2)
    assert not Run.objects.exists()
    engine.advance(delay)

    [event] = Event.objects.filter(runs__isnull=False)
    assert released() == [event.data["scheduledAt"]] == hours(12)
    assert dt.datetime.fromisoformat(event.data["fireAt"]) == row.fires_at


def test_run_event_and_next_time_commit_together(
    engine: Engine, client: Inngest, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduled(client)
    sync.register()
    before = Schedule.objects.values().get()
    start = runs.start

    def start_and_die(*args: Any, **options: Any) -> Any:
        start(*args, **options)
        raise RuntimeError("died")

    monkeypatch.setattr(runs, "start", start_and_die)
    engine.advance(HOUR / 2)

    assert Schedule.objects.values().get() == before
    assert not Run.objects.exists()
    assert not Event.objects.exists()
    assert not IdempotencyKey.objects.exists()
    monkeypatch.undo()
    engine.tick()
    assert released() == hours(12)


def _no_zone_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zone, for example, that only another host knows."""
    Schedule.objects.filter(function_id="test-f").update(cron="TZ=Mars/Base 0 * * * *")


def _no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration, for example, of which no run can be made."""
    start = runs.start

    def refuse(starts: Any, **options: Any) -> Any:
        if any(item.function_id == "test-f" for item in starts):
            raise ValueError("not this one")
        return start(starts, **options)

    monkeypatch.setattr(runs, "start", refuse)


@pytest.mark.parametrize("spoil", [_no_zone_here, _no_run])
def test_what_is_wrong_with_one_schedule_does_not_hold_up_others(
    engine: Engine,
    client: Inngest,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Any,
) -> None:
    scheduled(client)
    scheduled(client, fn_id="other")
    sync.register()
    spoil(monkeypatch)

    engine.advance(HOUR / 2)
    engine.advance(HOUR)

    assert released() == []
    assert released("test-other") == hours(12, 13)
    # Told once, although it is due with each tick.
    [record] = [r for r in caplog.records if "cannot be released" in r.getMessage()]
    assert record.schedule_id == Schedule.objects.get(function_id="test-f").pk


def test_events_of_schedules_start_nothing_else_and_resume_nothing(
    engine: Engine, client: Inngest
) -> None:
    scheduled(client)
    scheduled(client, TriggerEvent(event="inngest/scheduled.timer"), fn_id="curious")
    sync.register()

    engine.advance(HOUR / 2)
    engine.tick()

    assert released("test-curious") == []
    assert released() == hours(12)


def test_cancel_rules_hold_for_runs_of_schedules(engine: Engine, client: Inngest) -> None:
    @client.create_function(
        fn_id="long", trigger=HOURLY, cancel=[Cancel(event="stop", if_exp="true")]
    )
    def long(ctx: ContextSync) -> None:
        ctx.step.sleep("rest", "10h")

    registry.register(long)
    sync.register()
    engine.advance(HOUR / 2)

    engine.send("stop")
    engine.idle()

    assert Run.objects.get().status == "cancelled"


def test_a_rerun_has_the_time_of_its_original(engine: Engine, client: Inngest) -> None:
    scheduled(client)
    sync.register()
    engine.advance(HOUR / 2)

    runs.rerun(Run.objects.get().pk)
    engine.idle()

    assert released() == hours(12, 12)


# ------------------------------------------------------------------------- deploys and outages


def replace(client: Inngest, old: Function, *triggers: TriggerCron) -> Function:
    """Deploy: this process has the new code from now on."""
    registry.unregister(old)
    return scheduled(client, *triggers)


def rows() -> list[str]:
    return sorted(Schedule.objects.values_list("cron", flat=True))


def test_a_changed_schedule_takes_the_place_of_the_old_one_at_once(
    engine: Engine, client: Inngest
) -> None:
    old = scheduled(client)
    sync.register()

    replace(client, old, TriggerCron(cron="45 * * * *"))
    sync.register()

    assert rows() == ["45 * * * *"]
    engine.advance(HOUR / 2)
    assert released() == ["2026-03-01T11:45:00Z"]


@pytest.fixture
def old_process(engine: Engine, client: Inngest) -> None:
    """This process has the code of before a deploy, which another process registered."""
    old = scheduled(client)
    sync.register()
    new = replace(client, old, TriggerCron(cron="45 * * * *"))
    sync.register()
    registry.unregister(new)
    registry.register(old)


@pytest.mark.usefixtures("old_process")
def test_an_old_process_that_lives_on_does_not_bring_its_schedule_back() -> None:
    schedules.touch(registry.all())

    assert rows() == ["45 * * * *"]


@pytest.mark.usefixtures("old_process")
def test_after_a_rollback_the_old_schedule_is_back_and_the_new_one_ends(engine: Engine) -> None:
    sync.register()
    # For a while a process with the new code may live.
    assert rows() == ["0 * * * *", "45 * * * *"]
    clock.move(START + schedules.ALIVE_FOR + dt.timedelta(seconds=1))
    schedules.touch(registry.all())

    assert rows() == ["0 * * * *"]
    engine.advance(HOUR)
    assert released() == hours(12)


def test_a_changed_jitter_moves_the_next_start_only(engine: Engine, client: Inngest) -> None:
    old = scheduled(client)
    sync.register()
    before = Schedule.objects.get()

    replace(client, old, TriggerCron(cron="0 * * * *", jitter="5m"))
    sync.register()

    after = Schedule.objects.get()
    assert (after.pk, after.next_at) == (before.pk, before.next_at)
    assert after.fires_at > before.fires_at


def test_nothing_starts_that_no_living_process_has(engine: Engine, client: Inngest) -> None:
    function = scheduled(client)
    sync.register()
    registry.unregister(function)

    engine.advance(HOUR / 2)
    assert not Run.objects.exists()

    registry.register(function)
    sync.register()
    engine.tick()
    assert released() == hours(12)


def test_another_living_processs_schedule_is_released_here(engine: Engine, client: Inngest) -> None:
    function = scheduled(client, cancel=[Cancel(event="stop")])
    sync.register()
    registry.unregister(function)
    clock.move(START + HOUR / 2)
    Schedule.objects.update(registered_at=clock.now())

    assert releases.release() == 1

    run = Run.objects.get()
    assert run.function_id == "test-f"
    # Its rules come from what was registered.
    assert run.has_unscanned_rules


def test_a_function_that_was_gone_for_long_begins_anew(engine: Engine, client: Inngest) -> None:
    scheduled(client)
    sync.register()
    clock.move(START + schedules.FORGOTTEN_AFTER + HOUR)

    sync.register()
    assert releases.release() == 0

    engine.advance(HOUR)
    assert len(released()) == 1


def test_a_restart_after_an_outage_goes_on_where_it_stopped(
    engine: Engine, client: Inngest
) -> None:
    scheduled(client)
    sync.register()
    clock.move(START + 3 * HOUR)

    sync.register()
    engine.tick()

    assert released() == hours(12, 13, 14)


def test_a_process_says_that_its_schedules_live(engine: Engine, client: Inngest) -> None:
    scheduled(client)
    sync.register()
    clock.move(START + HOUR / 4)

    schedules.touch(registry.all())

    assert Schedule.objects.get().registered_at == START + HOUR / 4


def test_development_goes_on_from_now(engine: Engine, client: Inngest) -> None:
    scheduled(client)
    scheduled(client, TriggerCron(cron="0 0 1 1 *"), fn_id="later")
    sync.register()
    later = Schedule.objects.get(function_id="test-later")
    clock.move(START + 60 * HOUR)

    assert schedules.leave_out_missed() == 1

    engine.tick()
    assert released() == []
    engine.advance(HOUR)
    assert released() == hours(0, day=4)
    assert Schedule.objects.get(pk=later.pk).next_at == later.next_at
