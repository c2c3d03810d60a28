"""Events received before a wait began do not count, unless ``lookback`` says so."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from tests.functional.support import Live, client, event_name, unique
from tests.functional.variants import both

NAME = "functional/earlier-events.happened"


@client.create_function(
    fn_id="earlier-events",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("earlier-events")),
)
def waiting(ctx: inngest.ContextSync) -> object:
    data: Any = ctx.event.data
    found = ctx.step.wait_for_event(
        "wait",
        event=NAME,
        if_exp="event.data.own == async.data.own",
        timeout="1h",
        lookback=data.get("lookback"),
    )
    return found and found.data["n"]


@client.create_function(
    fn_id="earlier-events-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("earlier-events-async")),
)
async def waiting_async(ctx: inngest.Context) -> object:
    data: Any = ctx.event.data
    found = await ctx.step.wait_for_event(
        "wait",
        event=NAME,
        if_exp="event.data.own == async.data.own",
        timeout="1h",
        lookback=data.get("lookback"),
    )
    return found and found.data["n"]


@both(waiting, waiting_async)
def test_an_earlier_event_is_not_seen(live: Live, function: inngest.Function) -> None:
    own = unique()
    live.send(NAME, {"own": own, "n": "before the run"})
    run = live.start(function, {"own": own})
    live.step(run, "wait", status="waiting")
    live.send(NAME, {"own": own, "n": "after"})

    assert live.ended(run).output == "after"


@both(waiting, waiting_async)
def test_with_a_duration_it_is_seen(live: Live, function: inngest.Function) -> None:
    own = unique()
    live.send(NAME, {"own": own, "n": "before the run"})
    run = live.run(function, {"own": own, "lookback": "10m"})

    assert run.output == "before the run"


@both(waiting, waiting_async)
def test_a_duration_has_an_end(live: Live, function: inngest.Function) -> None:
    own = unique()
    live.send(NAME, {"own": own, "n": "before the run"})
    run = live.start(function, {"own": own, "lookback": 1})
    live.step(run, "wait", status="waiting")
    live.send(NAME, {"own": own, "n": "after"})

    assert live.ended(run).output == "after"


@client.create_function(
    fn_id="earlier-events-run",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("earlier-events-run")),
)
def sending_first(ctx: inngest.ContextSync) -> object:
    own = ctx.event.data["own"]
    # The best-known race: what is waited for happens while the run does something else.
    ctx.step.run(
        "own",
        lambda: [client.send_sync(inngest.Event(name=NAME, data={"own": own, "n": "inside"}))],
    )
    ctx.step.run("something", lambda: None)
    found = ctx.step.wait_for_event(
        "wait",
        event=NAME,
        if_exp="event.data.own == async.data.own",
        timeout="1h",
        lookback="run",
    )
    return found and found.data["n"]


def test_run_means_since_the_runs_own_event(live: Live) -> None:
    own = unique()
    live.send(NAME, {"own": own, "n": "before the run"})
    run = live.run(sending_first, {"own": own})

    assert run.output == "inside"
