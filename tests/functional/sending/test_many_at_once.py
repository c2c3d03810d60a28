"""Many sends at the same time, from one client."""

from __future__ import annotations

import asyncio

import inngest_django as inngest
from inngest_django.models import Event
from tests.functional.support import Live, client, unique


def test_500_concurrent_sends_succeed(live: Live) -> None:
    name = f"functional/{unique('many')}"

    async def send_all() -> list[list[str]]:
        return await asyncio.gather(
            *(client.send(inngest.Event(name=name, data={"n": n})) for n in range(500))
        )

    ids = [event_id for [event_id] in asyncio.run(send_all())]

    assert len(set(ids)) == 500
    stored = Event.objects.filter(name=name).values_list("id", "data")
    assert sorted(data["n"] for _, data in stored) == list(range(500))
    assert {event_id for event_id, _ in stored} == set(ids)
    live.wait_until(
        lambda: not Event.objects.filter(name=name, routed_at=None).exists(),
        what="routing of all events",
    )
