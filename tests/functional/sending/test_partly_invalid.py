"""A list with a valid, an invalid and another event: accepted up to the invalid one."""

from __future__ import annotations

import asyncio

import pytest

import inngest_django as inngest
from inngest_django.models import Event
from tests.functional.support import Live, client, event_name, unique


@client.create_function(
    fn_id="partly-invalid",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("partly-invalid")),
)
def partly_invalid(ctx: inngest.ContextSync) -> object:
    return ctx.event.data["own"]


def _events(own: str) -> list[inngest.Event]:
    name = event_name("partly-invalid")
    return [
        inngest.Event(name=name, data={"own": own}),
        inngest.Event(name="", data={"own": own}),
        inngest.Event(name=name, data={"own": "never"}),
    ]


def _send(events: list[inngest.Event], kind: str) -> list[str]:
    return client.send_sync(events) if kind == "sync" else asyncio.run(client.send(events))


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_error_names_what_was_accepted_before(live: Live, kind: str) -> None:
    own = unique()
    with pytest.raises(inngest.SendEventsError, match="name") as caught:
        _send(_events(own), kind)

    [event_id] = caught.value.ids
    assert live.ended(live.started(event_id, partly_invalid)).output == own
    assert not Event.objects.filter(name=event_name("partly-invalid"), data='{"own":"never"}')


def test_an_empty_list_sends_nothing(live: Live) -> None:
    assert client.send_sync([]) == []
