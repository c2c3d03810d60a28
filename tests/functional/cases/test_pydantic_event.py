"""A user's own typed event, made from ``ctx.event`` and turned back into one."""

from __future__ import annotations

from typing import Any

import pydantic

import inngest_django as inngest
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


class OrderData(pydantic.BaseModel):
    order: int


class OrderEvent(pydantic.BaseModel):
    data: OrderData
    id: str
    name: str
    ts: int

    def to_event(self) -> inngest.Event:
        return inngest.Event(
            name=self.name, data=self.data.model_dump(mode="json"), id=self.id, ts=self.ts
        )


def _round_trip(event: inngest.Event) -> dict[str, Any]:
    typed = OrderEvent.model_validate(event.model_dump(mode="json"))
    return typed.to_event().model_dump(mode="json")


@client.create_function(
    fn_id="pydantic-event",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("pydantic-event")),
)
def pydantic_event(ctx: inngest.ContextSync) -> dict[str, Any]:
    return _round_trip(ctx.event)


@client.create_function(
    fn_id="pydantic-event-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("pydantic-event-async")),
)
async def pydantic_event_async(ctx: inngest.Context) -> dict[str, Any]:
    return _round_trip(ctx.event)


@both(pydantic_event, pydantic_event_async)
def test_a_typed_wrapper_converts_both_ways(live: Live, function: inngest.Function) -> None:
    run = live.run(function, {"order": 7})

    assert run.status == "completed"
    assert run.output == {
        "id": run.event_id,
        "name": run.event.name,
        "data": {"order": 7},
        "ts": run.event.ts,
    }
    assert run.output["ts"] > 0
