"""A wait that nothing matches gives None, at its time and not before."""

from __future__ import annotations

import datetime as dt
from typing import Any

import inngest_django as inngest
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


@client.create_function(
    fn_id="wait-timeout",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("wait-timeout")),
)
def waiting(ctx: inngest.ContextSync) -> object:
    return [ctx.step.wait_for_event("wait", event="functional/never-sent", timeout=1_000)]


@client.create_function(
    fn_id="wait-timeout-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("wait-timeout-async")),
)
async def waiting_async(ctx: inngest.Context) -> object:
    # An event of that name is sent by others, but none is "never".
    return [
        await ctx.step.wait_for_event(
            "wait",
            event="functional/nobody",
            if_exp="async.data.never == 'never'",
            timeout=dt.timedelta(seconds=1),
        )
    ]


@client.create_function(
    fn_id="wait-timeout-text",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("wait-timeout-text")),
)
def waiting_text(ctx: inngest.ContextSync) -> object:
    return [ctx.step.wait_for_event("wait", event="functional/never-sent", timeout="1s")]


def _check(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed", run.error
    assert run.output == [None]
    step = run.steps.get()
    assert (step.status, step.output) == ("timed_out", None)
    assert step.ended_at - step.started_at >= dt.timedelta(seconds=1)
    assert run.waits.get().status == "timed_out"


@both(waiting, waiting_async)
def test_none_after_the_timeout(live: Live, function: Any) -> None:
    _check(live, function)


def test_the_timeout_may_be_text(live: Live) -> None:
    _check(live, waiting_text)
