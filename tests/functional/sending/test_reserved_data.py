"""What a sender may not put into an event."""

from __future__ import annotations

import pytest

import inngest_django as inngest
from inngest_django.models import Event
from tests.functional.support import Live, client, event_name

NAME = event_name("reserved-data")


def test_the_engines_own_key_is_removed(live: Live) -> None:
    event_id = live.send(NAME, {"_inngest": {"fn_id": "x"}, "kept": 1})

    assert Event.objects.get(pk=event_id).data == {"kept": 1}


@pytest.mark.parametrize("name", ["inngest/function.failed", "INNGEST/anything"])
def test_names_of_internal_events_are_refused(live: Live, name: str) -> None:
    with pytest.raises(inngest.SendEventsError, match="reserved") as caught:
        client.send_sync(inngest.Event(name=name))

    assert caught.value.ids == []
