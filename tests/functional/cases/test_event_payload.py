"""A handler receives the event as it was sent, with id and time filled in."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both

DATA: dict[str, Any] = {
    "foo": {"bar": ["baz", 1, 1.5, None, False]},
    "ünï": "ćode \u0000 \U0001f600",
}


def _note(ctx: inngest.ContextSync | inngest.Context) -> None:
    event = ctx.event
    ledger.note(ctx.run_id, "event", [event.id, event.name, dict(event.data), event.ts])


@client.create_function(
    fn_id="event-payload",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("event-payload")),
)
def event_payload(ctx: inngest.ContextSync) -> None:
    _note(ctx)


@client.create_function(
    fn_id="event-payload-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("event-payload-async")),
)
async def event_payload_async(ctx: inngest.Context) -> None:
    _note(ctx)


@both(event_payload, event_payload_async)
def test_the_event_arrives_whole(live: Live, function: inngest.Function) -> None:
    run = live.run(function, DATA)

    [[event_id, name, data, ts]] = [note.value for note in ledger.notes(run.id, "event")]  # type: ignore[misc]
    assert event_id == run.event_id
    assert name == function.triggers[0].event
    assert data == DATA
    assert ts > 1_700_000_000_000
    assert run.event.data == DATA
