"""Time that passes in a test starts what the clock starts."""

from __future__ import annotations

import pytest

from inngest_django import ContextSync, Event, Function, Inngest, TriggerCron, TriggerEvent, crons
from inngest_django.testing import Durable

NIGHTLY = TriggerCron(cron="TZ=Europe/Oslo 0 3 * * *")


@pytest.fixture
def nightly(client: Inngest) -> Function:
    @client.create_function(fn_id="nightly", trigger=NIGHTLY)
    def nightly(ctx: ContextSync) -> object:
        ctx.step.sleep("rest", "1h")
        return ctx.event.data["scheduledAt"]

    return nightly


@pytest.fixture
def noon(durable: Durable) -> Durable:
    """The kit at twelve, UTC, whenever the tests run: far from the night and from its end."""
    durable.only()
    to_the_next(durable, "0 12 * * *")
    return durable


def outputs(durable: Durable, function: Function) -> list[object]:
    return [run.output for run in durable.runs(function)]


def to_the_next(durable: Durable, cron: str) -> None:
    durable.advance_to(crons.after(cron, durable.now))


def test_each_night_that_passes_starts_a_run(noon: Durable, nightly: Function) -> None:
    noon.only(nightly)
    nights = crons.upcoming(NIGHTLY.cron, noon.now, 3)

    noon.advance("3 days")

    assert outputs(noon, nightly) == [f"{night:%Y-%m-%dT%H:%M:%SZ}" for night in nights]


def test_schedules_sleeps_and_timeouts_come_in_the_order_of_their_times(
    durable: Durable, client: Inngest
) -> None:
    order: list[str] = []

    @client.create_function(fn_id="hourly", trigger=TriggerCron(cron="0 * * * *"))
    def hourly(ctx: ContextSync) -> None:
        ctx.step.run("note", lambda: order.append(f"{durable.now:%H:%M} schedule"))

    @client.create_function(fn_id="sleeping", trigger=TriggerEvent(event="kit/go"))
    def sleeping(ctx: ContextSync) -> None:
        ctx.step.sleep("short", "90m")
        ctx.step.run("note", lambda: order.append(f"{durable.now:%H:%M} sleep"))
        ctx.step.wait_for_event("never", event="kit/never", timeout="1h")
        ctx.step.run("note", lambda: order.append(f"{durable.now:%H:%M} timeout"))

    durable.only(hourly, sleeping)
    to_the_next(durable, "15 10 * * *")
    order.clear()
    durable.deliver("kit/go")

    durable.advance("3h")

    assert order == [
        "11:00 schedule",
        "11:45 sleep",
        "12:00 schedule",
        "12:45 timeout",
        "13:00 schedule",
    ]


def test_only_leaves_the_other_functions_schedules_alone(
    noon: Durable, nightly: Function, client: Inngest
) -> None:
    @client.create_function(fn_id="other", trigger=TriggerCron(cron="* * * * *"))
    def other(ctx: ContextSync) -> None: ...

    noon.register(other, nightly)
    noon.run_until_idle()
    noon.only(nightly)

    noon.advance("2 days")

    assert len(noon.runs(nightly)) == 2
    assert noon.runs(other) == []


def test_a_function_that_gets_a_schedule_in_a_test_has_it(noon: Durable, nightly: Function) -> None:
    """Its row and that of the function that had the id before are the test's."""
    noon.only(Inngest(app_id="kit").create_function(fn_id="nightly", trigger=[])(lambda _: 1))
    noon.run_until_idle()
    noon.only(nightly)

    noon.advance("1 day")

    assert len(noon.runs(nightly)) == 1


def test_a_run_on_time_has_an_event_of_now(durable: Durable, client: Inngest) -> None:
    @client.create_function(fn_id="reports", trigger=NIGHTLY)
    def reports(ctx: ContextSync) -> object:
        return [ctx.event.name, ctx.event.id, dict(ctx.event.data)]

    now = durable.now.isoformat().replace("+00:00", "Z")
    data = {"cron": NIGHTLY.cron, "scheduledAt": now, "fireAt": now}

    durable.run(reports).assert_completed(output=["inngest/scheduled.timer", now, data])
    given = durable.run(reports, {"scheduledAt": "2026-03-01T02:00:00Z"})
    given.assert_completed()
    assert given.output[1:] == [
        "2026-03-01T02:00:00Z",
        {**data, "scheduledAt": "2026-03-01T02:00:00Z"},
    ]


def test_a_run_is_finished_although_schedules_go_on_for_ever(
    durable: Durable, client: Inngest
) -> None:
    @client.create_function(fn_id="hourly", trigger=TriggerCron(cron="0 * * * *"))
    def hourly(ctx: ContextSync) -> None: ...

    @client.create_function(fn_id="sleeping", trigger=TriggerEvent(event="kit/go"))
    def sleeping(ctx: ContextSync) -> str:
        ctx.step.sleep("rest", "5h")
        return "woken"

    durable.only(hourly, sleeping)

    durable.run(sleeping).finish().assert_completed(output="woken")
    assert len(durable.runs(hourly)) == 5


def test_a_schedule_survives_crashes_and_doubled_messages(
    noon: Durable, nightly: Function, client: Inngest
) -> None:
    noon.only(nightly)
    noon.duplicate_messages()
    noon.crash_at(point="after_commit", times=2)

    noon.advance("2 days")

    assert len(set(outputs(noon, nightly))) == 2
    assert len(noon.runs(nightly)) == 2


def test_an_event_that_a_scheduled_run_sends_is_delivered(noon: Durable, client: Inngest) -> None:
    @client.create_function(fn_id="asks", trigger=NIGHTLY)
    def asks(ctx: ContextSync) -> None:
        ctx.step.send_event("ask", Event(name="kit/asked"))

    @client.create_function(fn_id="answers", trigger=TriggerEvent(event="kit/asked"))
    def answers(ctx: ContextSync) -> None: ...

    noon.only(asks, answers)
    noon.advance("1 day")

    noon.only_run(answers).assert_completed()
