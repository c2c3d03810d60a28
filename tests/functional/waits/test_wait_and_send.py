"""A wait beside a send in one group: the wait sees what the group itself sends."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from tests.functional.support import Live, client, event_name, unique
from tests.functional.variants import both

NAME = "functional/wait-and-send.echo"


@client.create_function(
    fn_id="wait-and-send",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("wait-and-send")),
)
def both_at_once(ctx: inngest.ContextSync) -> object:
    own = ctx.event.data["own"]
    found: Any
    [_, found] = ctx.group.parallel(
        (
            lambda: ctx.step.send_event("send", inngest.Event(name=NAME, data={"own": own})),
            lambda: ctx.step.wait_for_event(
                "wait", event=NAME, if_exp="event.data.own == async.data.own", timeout="1h"
            ),
        )  # type: ignore[arg-type]
    )
    return found.data["own"]


@client.create_function(
    fn_id="wait-and-send-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("wait-and-send-async")),
)
async def both_at_once_async(ctx: inngest.Context) -> object:
    own = ctx.event.data["own"]
    found: Any
    [_, found] = await ctx.group.parallel(
        (
            lambda: ctx.step.send_event("send", inngest.Event(name=NAME, data={"own": own})),
            lambda: ctx.step.wait_for_event(
                "wait", event=NAME, if_exp="event.data.own == async.data.own", timeout="1h"
            ),
        )  # type: ignore[arg-type]
    )
    return found.data["own"]


@both(both_at_once, both_at_once_async)
def test_the_wait_is_resolved(live: Live, function: inngest.Function) -> None:
    own = unique()
    run = live.run(function, {"own": own})

    assert run.status == "completed", run.error
    assert run.output == own
