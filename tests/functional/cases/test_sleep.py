"""``step.sleep``: at least that long passes between the code before and after."""

from __future__ import annotations

import datetime as dt

import pytest

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both

pytestmark = [pytest.mark.smoke]

SECONDS = 2


@client.create_function(
    fn_id="sleep",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("sleep")),
)
def sleep(ctx: inngest.ContextSync) -> None:
    ctx.step.run("before", lambda: ledger.note(ctx.run_id, "before"))
    ctx.step.sleep("zzz", SECONDS * 1000)
    ledger.note(ctx.run_id, "after")


@client.create_function(
    fn_id="sleep-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("sleep-async")),
)
async def sleep_async(ctx: inngest.Context) -> None:
    await ctx.step.run("before", lambda: ledger.note(ctx.run_id, "before"))
    await ctx.step.sleep("zzz", dt.timedelta(seconds=SECONDS))
    ledger.note(ctx.run_id, "after")


@both(sleep, sleep_async)
def test_the_time_passes(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    [before] = ledger.notes(run.id, "before")
    [after] = ledger.notes(run.id, "after")
    assert after.at - before.at >= SECONDS
    step = run.steps.get(name="zzz")
    assert (step.op, step.status, step.output) == ("Sleep", "completed", None)
    assert step.ended_at - step.started_at >= dt.timedelta(seconds=SECONDS)
