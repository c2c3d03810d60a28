"""Events sent inside ``step.transaction`` exist exactly once, with its rows or not at all."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from inngest_django.models import Event
from tests.functional.support import Live, client, event_name, unique
from tests.functional.variants import both

NAME = "functional/transaction-sends.done"


@client.create_function(
    fn_id="transaction-sends-child", retries=0, trigger=inngest.TriggerEvent(event=NAME)
)
def child(ctx: inngest.ContextSync) -> object:
    return ctx.event.data["attempt"]


def _send_then_fail(own: str, attempt: int) -> list[str]:
    ids = client.send_sync(inngest.Event(name=NAME, data={"own": own, "attempt": attempt}))
    if attempt == 0:
        raise RuntimeError("after the send")
    return ids


@client.create_function(
    fn_id="transaction-sends",
    retries=1,
    trigger=inngest.TriggerEvent(event=event_name("transaction-sends")),
)
def sending(ctx: inngest.ContextSync) -> object:
    return ctx.step.transaction("send", _send_then_fail, str(ctx.event.data["own"]), ctx.attempt)


@client.create_function(
    fn_id="transaction-sends-async",
    retries=1,
    trigger=inngest.TriggerEvent(event=event_name("transaction-sends-async")),
)
async def sending_async(ctx: inngest.Context) -> object:
    return await ctx.step.transaction(
        "send", _send_then_fail, str(ctx.event.data["own"]), ctx.attempt
    )


@both(sending, sending_async)
def test_only_the_committed_attempt_sends(live: Live, function: Any) -> None:
    own = unique()
    run = live.run(function, {"own": own})

    assert run.status == "completed", run.error
    [event] = Event.objects.filter(name=NAME, data__contains=own)
    assert run.output == [event.id]
    assert live.ended(live.started(event.id, child)).output == 1
