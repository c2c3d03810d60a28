"""An event sent at the very moment at which a wait begins is not lost."""

from __future__ import annotations

from typing import Any

import pytest

import inngest_django as inngest
from tests.functional.support import Live, client, event_name, unique
from tests.functional.variants import both

pytestmark = [pytest.mark.smoke]

NAME = "functional/event-at-once.go"


def _send(own: str) -> None:
    client.send_sync(inngest.Event(name=NAME, data={"own": own}))


@client.create_function(
    fn_id="event-at-once",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("event-at-once")),
)
def waiting(ctx: inngest.ContextSync) -> Any:
    # Each entry sends, also the one that begins the wait: before it is stored, and routed
    # by somebody else at about the same time.
    _send(str(ctx.event.data["own"]))
    found = ctx.step.wait_for_event(
        "wait", event=NAME, if_exp="event.data.own == async.data.own", timeout="1h"
    )
    return found is not None


@client.create_function(
    fn_id="event-at-once-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("event-at-once-async")),
)
async def waiting_async(ctx: inngest.Context) -> Any:
    await client.send(  # inngest: allow W012 - as above
        inngest.Event(name=NAME, data={"own": ctx.event.data["own"]})
    )
    found = await ctx.step.wait_for_event(
        "wait", event=NAME, if_exp="event.data.own == async.data.own", timeout="1h"
    )
    return found is not None


@both(waiting, waiting_async)
def test_it_resolves_the_wait(live: Live, function: inngest.Function) -> None:
    runs = [live.start(function, {"own": unique()}) for _ in range(10)]

    assert [live.ended(run).output for run in runs] == [True] * 10
