"""``await client.send`` starts a run, and quickly."""

from __future__ import annotations

import asyncio

import inngest_django as inngest
from inngest_django.models import Event
from tests.functional.support import Live, client, event_name


@client.create_function(
    fn_id="client-send",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("client-send")),
)
def client_send(ctx: inngest.ContextSync) -> None:
    return None


def test_an_awaited_send_starts_a_run(live: Live) -> None:
    async def send() -> list[str]:
        return await client.send(inngest.Event(name=event_name("client-send"), data={"n": 1}))

    [event_id] = asyncio.run(send())
    run = live.started(event_id, client_send, timeout=5)

    assert live.ended(run).status == "completed"
    assert Event.objects.get(pk=event_id).data == {"n": 1}


def test_send_sync_works_under_a_running_event_loop(live: Live) -> None:
    async def send() -> list[str]:
        return client.send_sync([inngest.Event(name=event_name("client-send")) for _ in range(2)])

    event_ids = asyncio.run(send())

    assert len(set(event_ids)) == 2
    for event_id in event_ids:
        assert live.ended(live.started(event_id, client_send)).status == "completed"
