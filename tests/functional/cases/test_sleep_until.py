"""``step.sleep_until`` with a naive datetime: local time, never early."""

from __future__ import annotations

import datetime as dt

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


def _in_two_seconds() -> dt.datetime:
    return dt.datetime.now() + dt.timedelta(seconds=2)  # noqa: DTZ005 - naive is the case


@client.create_function(
    fn_id="sleep-until",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("sleep-until")),
)
def sleep_until(ctx: inngest.ContextSync) -> None:
    ctx.step.run("before", lambda: ledger.note(ctx.run_id, "before"))
    ctx.step.sleep_until("zzz", _in_two_seconds())
    ledger.note(ctx.run_id, "after")


@client.create_function(
    fn_id="sleep-until-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("sleep-until-async")),
)
async def sleep_until_async(ctx: inngest.Context) -> None:
    await ctx.step.run("before", lambda: ledger.note(ctx.run_id, "before"))
    await ctx.step.sleep_until("zzz", _in_two_seconds())
    ledger.note(ctx.run_id, "after")


@both(sleep_until, sleep_until_async)
def test_the_moment_is_waited_for(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed"
    # "before" may be noted a moment after the date was computed only in a later entry,
    # so the date is at least two seconds after it.
    [before] = ledger.notes(run.id, "before")
    [after] = ledger.notes(run.id, "after")
    assert after.at - before.at >= 2
