"""``step.send_event`` sends once, returns the ids, and fans out."""

from __future__ import annotations

import inngest_django as inngest
from inngest_django.models import Event, Run
from tests.functional.support import Live, client, event_name, unique
from tests.functional.variants import both

NAME = "functional/send-event.announced"


def _child(fn_id: str) -> inngest.Function:
    @client.create_function(fn_id=fn_id, retries=0, trigger=inngest.TriggerEvent(event=NAME))
    def handler(ctx: inngest.ContextSync) -> object:
        return ctx.event.data["n"]

    return handler


first_child = _child("send-event-child-1")
second_child = _child("send-event-child-2")


@client.create_function(
    fn_id="send-event", retries=0, trigger=inngest.TriggerEvent(event=event_name("send-event"))
)
def sending(ctx: inngest.ContextSync) -> object:
    own = ctx.event.data["own"]
    many = ctx.step.send_event(
        "many", [inngest.Event(name=NAME, data={"own": own, "n": n}) for n in range(3)]
    )
    one = ctx.step.send_event("one", inngest.Event(name="functional/nobody", data={"own": own}))
    return [many, one]


@client.create_function(
    fn_id="send-event-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("send-event-async")),
)
async def sending_async(ctx: inngest.Context) -> object:
    own = ctx.event.data["own"]
    many = await ctx.step.send_event(
        "many", [inngest.Event(name=NAME, data={"own": own, "n": n}) for n in range(3)]
    )
    one = await ctx.step.send_event(
        "one", inngest.Event(name="functional/nobody", data={"own": own})
    )
    return [many, one]


@both(sending, sending_async)
def test_events_go_out_once_and_start_every_function(
    live: Live, function: inngest.Function
) -> None:
    own = unique()
    run = live.run(function, {"own": own})

    assert run.status == "completed", run.error
    many, one = run.output
    stored = Event.objects.filter(name__in=[NAME, "functional/nobody"], data__contains=own)
    assert sorted(event.id for event in stored) == sorted([*many, *one])
    assert run.steps.get(name="many").output == many
    for n, event_id in enumerate(many):
        live.started(event_id, count=2)
        children = [live.ended(child) for child in Run.objects.filter(event_id=event_id)]
        assert {child.function_id for child in children} == {first_child.id, second_child.id}
        assert [child.output for child in children] == [n, n]
