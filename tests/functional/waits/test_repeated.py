"""Waits in a loop: each takes an event of its own, in the order of sending."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from tests.functional.support import Live, client, event_name, unique
from tests.functional.variants import both

NAME = "functional/repeated-waits.message"


@client.create_function(
    fn_id="repeated-waits",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("repeated-waits")),
)
def conversation(ctx: inngest.ContextSync) -> Any:
    heard = []
    while True:
        event = ctx.step.wait_for_event(
            "message", event=NAME, if_exp="event.data.own == async.data.own", timeout="1h"
        )
        assert event is not None
        if event.data["text"] == "bye":
            return heard
        heard.append(event.data["text"])
        ctx.step.run("answer", lambda: None)


@client.create_function(
    fn_id="repeated-waits-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("repeated-waits-async")),
)
async def conversation_async(ctx: inngest.Context) -> Any:
    heard = []
    while True:
        event = await ctx.step.wait_for_event(
            "message", event=NAME, if_exp="event.data.own == async.data.own", timeout="1h"
        )
        assert event is not None
        if event.data["text"] == "bye":
            return heard
        heard.append(event.data["text"])
        await ctx.step.run("answer", lambda: None)


@both(conversation, conversation_async)
def test_one_event_each(live: Live, function: inngest.Function) -> None:
    own = unique()
    run = live.start(function, {"own": own})
    for index, text in enumerate(("one", "two", "three", "bye")):
        live.wait_until(
            lambda n=index: run.steps.filter(name="message", index=n, status="waiting").exists(),
            what=f"wait {index}",
        )
        live.send(NAME, {"own": own, "text": text})

    assert live.ended(run).output == ["one", "two", "three"]
