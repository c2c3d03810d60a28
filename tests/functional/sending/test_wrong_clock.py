"""A sender whose host's clock is ahead delays nothing: only an author's ``ts`` does."""

from __future__ import annotations

import datetime as dt

import pytest
import time_machine

from inngest_django import ContextSync, TriggerEvent
from inngest_django.models import Event
from tests.functional.support import Live, client, event_name

pytestmark = pytest.mark.postgres


@client.create_function(fn_id="wrong-clock", trigger=TriggerEvent(event=event_name("wrong-clock")))
def wrong_clock(ctx: ContextSync) -> str:
    return "run"


def test_a_sender_whose_clock_is_ahead_starts_runs_at_once(live: Live) -> None:
    with time_machine.travel(dt.datetime.now(dt.UTC) + dt.timedelta(minutes=10), tick=True):
        event_id = live.send(event_name("wrong-clock"))

    assert live.ended(live.started(event_id, wrong_clock)).output == "run"
    event = Event.objects.get(pk=event_id)
    assert event.ts == pytest.approx(event.received_at.timestamp() * 1000, abs=1)
