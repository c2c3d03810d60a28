"""Of several matching events the first resolves a wait; one event resolves many waits."""

from __future__ import annotations

from typing import Any

import pytest

import inngest_django as inngest
from tests.functional.support import Live, client, event_name, unique
from tests.functional.variants import both

pytestmark = [pytest.mark.smoke]

NAME = "functional/first-event-wins.go"


@client.create_function(
    fn_id="first-event-wins",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("first-event-wins")),
)
def waiting(ctx: inngest.ContextSync) -> object:
    found = ctx.step.wait_for_event(
        "wait", event=NAME, if_exp="event.data.own == async.data.own", timeout="1h"
    )
    return found and found.data["n"]


@client.create_function(
    fn_id="first-event-wins-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("first-event-wins-async")),
)
async def waiting_async(ctx: inngest.Context) -> object:
    found = await ctx.step.wait_for_event(
        "wait", event=NAME, if_exp="event.data.own == async.data.own", timeout="1h"
    )
    return found and found.data["n"]


@both(waiting, waiting_async)
def test_the_first_of_several(live: Live, function: inngest.Function) -> None:
    own = unique()
    run = live.start(function, {"own": own})
    live.step(run, "wait", status="waiting")
    client.send_sync([inngest.Event(name=NAME, data={"own": own, "n": n}) for n in range(5)])

    assert live.ended(run).output == 0


@both(waiting, waiting_async)
def test_one_event_for_many_runs(live: Live, function: inngest.Function) -> None:
    own = unique()
    runs = [live.start(function, {"own": own}) for _ in range(5)]
    for run in runs:
        live.step(run, "wait", status="waiting")
    live.send(NAME, {"own": own, "n": "all"})

    assert [live.ended(run).output for run in runs] == ["all"] * 5


@both(waiting, waiting_async)
def test_a_repeated_event_resumes_though_it_starts_nothing(live: Live, function: Any) -> None:
    own = unique()
    external = unique("external")
    live.send(NAME, {"own": own, "n": "first"}, id=external)
    run = live.start(function, {"own": own})
    live.step(run, "wait", status="waiting")
    live.send(NAME, {"own": own, "n": "repeated"}, id=external)

    assert live.ended(run).output == "repeated"
