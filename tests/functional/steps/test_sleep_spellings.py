"""Durations and dates as texts; past dates and zero continue at once."""

from __future__ import annotations

import datetime as dt
from typing import Any

import inngest_django as inngest
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


@client.create_function(
    fn_id="sleep-spellings",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("sleep-spellings")),
)
def spellings(ctx: inngest.ContextSync) -> None:
    for n, duration in enumerate(ctx.event.data["durations"]):  # type: ignore[arg-type]
        ctx.step.sleep(f"sleep-{n}", duration)
    for n, date in enumerate(ctx.event.data["dates"]):  # type: ignore[arg-type]
        ctx.step.sleep_until(f"until-{n}", date)


@client.create_function(
    fn_id="sleep-spellings-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("sleep-spellings-async")),
)
async def spellings_async(ctx: inngest.Context) -> None:
    for n, duration in enumerate(ctx.event.data["durations"]):  # type: ignore[arg-type]
        await ctx.step.sleep(f"sleep-{n}", duration)
    for n, date in enumerate(ctx.event.data["dates"]):  # type: ignore[arg-type]
        await ctx.step.sleep_until(f"until-{n}", date)


DATES = {
    "2020-01-31": dt.datetime(2020, 1, 31, tzinfo=dt.UTC),
    "2020-01-31T09:30:00": dt.datetime(2020, 1, 31, 9, 30, tzinfo=dt.UTC),
    "2020-01-31T09:30:00+02:00": dt.datetime(2020, 1, 31, 7, 30, tzinfo=dt.UTC),
    "2020-01-31T09:30:00Z": dt.datetime(2020, 1, 31, 9, 30, tzinfo=dt.UTC),
    "2020-01-3109:30:00": dt.datetime(2020, 1, 31, 9, 30, tzinfo=dt.UTC),
}


def _until(step: Any) -> dt.datetime:
    return dt.datetime.fromisoformat(step.input["until"])


@both(spellings, spellings_async)
def test_short_ones_and_past_ones_pass(live: Live, function: inngest.Function) -> None:
    run = live.run(function, {"durations": ["0s", "100ms", 0, "0h0.2s"], "dates": list(DATES)})

    assert run.status == "completed", run.error
    slept = [step.ended_at - step.started_at for step in run.steps.filter(name="sleep-1")]
    assert slept[0] >= dt.timedelta(milliseconds=100)
    assert [_until(run.steps.get(name=f"until-{n}")) for n in range(len(DATES))] == list(
        DATES.values()
    )


@both(spellings, spellings_async)
def test_a_long_one_wakes_at_its_time(live: Live, function: inngest.Function) -> None:
    run = live.start(function, {"durations": ["2d1h30m"], "dates": []})
    step = live.step(run, "sleep-0", status="waiting")

    assert _until(step) - step.started_at == dt.timedelta(days=2, hours=1, minutes=30)
    assert run.jobs.get(step=step).available_at == _until(step)


@both(spellings, spellings_async)
def test_a_coming_date_is_waited_for(live: Live, function: inngest.Function) -> None:
    tomorrow = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).replace(microsecond=0)
    run = live.start(function, {"durations": [], "dates": [tomorrow.isoformat()]})
    step = live.step(run, "until-0", status="waiting")

    assert _until(step) == tomorrow
    assert run.jobs.get(step=step).available_at == tomorrow
