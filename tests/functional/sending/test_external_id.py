"""The sender's event id: one run per function within 24 hours, though both events are kept."""

from __future__ import annotations

import inngest_django as inngest
from inngest_django.models import Event, Run
from tests.functional.support import Live, client, event_name, unique

NAME = event_name("external-id")


@client.create_function(fn_id="external-id", retries=0, trigger=inngest.TriggerEvent(event=NAME))
def once(ctx: inngest.ContextSync) -> str:
    return ctx.event.id


@client.create_function(
    fn_id="external-id-other", retries=0, trigger=inngest.TriggerEvent(event=NAME)
)
def once_too(ctx: inngest.ContextSync) -> str:
    return ctx.event.id


def _routed(event_id: str) -> bool:
    return Event.objects.filter(pk=event_id, routed_at__isnull=False).exists()


def test_a_repeated_id_starts_each_function_once(live: Live) -> None:
    own = unique("order")
    first = live.send(NAME, {"n": 1}, id=own)
    run = live.ended(live.started(first, once))
    other = live.ended(live.started(first, once_too))
    again = [live.send(NAME, {"n": n}, id=own) for n in (2, 3)]
    live.wait_until(lambda: all(map(_routed, again)), what="routing of the repetitions")

    assert run.output == other.output == own
    assert not Run.objects.filter(event_id__in=again).exists()
    assert Event.objects.filter(external_id=own).count() == 3


def test_repeated_in_one_send(live: Live) -> None:
    own = unique("order")
    ids = client.send_sync([inngest.Event(name=NAME, data={"n": n}, id=own) for n in range(3)])
    live.wait_until(lambda: all(map(_routed, ids)), what="routing of all")

    assert Run.objects.filter(event_id__in=ids, function_id=once.id).count() == 1
    assert Run.objects.get(event_id__in=ids, function_id=once.id).event_id == ids[0]
