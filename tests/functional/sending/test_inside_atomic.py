"""An event sent inside ``atomic`` acts when the block commits, and never when it does not."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from django.db import transaction

import inngest_django as inngest
from inngest_django.errors import InngestError
from inngest_django.models import Event, Run
from tests.functional.support import Live, client, event_name, unique


@client.create_function(
    fn_id="inside-atomic",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("inside-atomic")),
)
def inside_atomic(ctx: inngest.ContextSync) -> object:
    return ctx.event.data["own"]


def _event(own: str) -> inngest.Event:
    return inngest.Event(name=event_name("inside-atomic"), data={"own": own})


class _UndoError(Exception):
    pass


def test_a_committed_event_acts(live: Live) -> None:
    own = unique()
    with transaction.atomic():
        [event_id] = client.send_sync(_event(own))
        assert not Run.objects.filter(event_id=event_id).exists()

    assert live.ended(live.started(event_id, inside_atomic)).output == own


def test_a_rolled_back_event_never_acts(live: Live) -> None:
    with contextlib.suppress(_UndoError), transaction.atomic():
        [event_id] = client.send_sync(_event("never"))
        raise _UndoError
    # A later event has gone all the way, so that the first would have, too.
    marker = unique()
    live.ended(live.started(live.send(event_name("inside-atomic"), {"own": marker})))

    assert not Event.objects.filter(pk=event_id).exists()
    assert not Run.objects.filter(event_id=event_id).exists()


def test_a_rolled_back_savepoint_takes_its_event_along(live: Live) -> None:
    own = unique()
    with transaction.atomic():
        [kept] = client.send_sync(_event(own))
        with contextlib.suppress(_UndoError), transaction.atomic():
            [dropped] = client.send_sync(_event("never"))
            raise _UndoError

    assert live.ended(live.started(kept, inside_atomic)).output == own
    assert not Event.objects.filter(pk=dropped).exists()


def test_a_send_that_would_split_the_block_is_refused(live: Live) -> None:
    async def send() -> None:
        client.send_sync(_event("never"))

    with transaction.atomic(), pytest.raises(InngestError, match="atomic"):
        asyncio.run(send())
