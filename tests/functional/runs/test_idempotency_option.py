"""``idempotency``: one run for each value of the expression within 24 hours."""

from __future__ import annotations

import inngest_django as inngest
from inngest_django.models import Event, Run
from tests.functional.support import Live, client, event_name, unique


@client.create_function(
    fn_id="idempotency-option",
    idempotency="event.data.order",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("idempotency-option")),
)
def once(ctx: inngest.ContextSync) -> object:
    return ctx.event.data["n"]


def test_the_first_of_a_value_runs(live: Live) -> None:
    one, two = unique(), unique()
    ids = [
        live.send(event_name("idempotency-option"), {"order": order, "n": n})
        for n, order in enumerate((one, one, two, one))
    ]
    live.wait_until(
        lambda: Event.objects.filter(pk__in=ids, routed_at__isnull=False).count() == 4,
        what="routing of all",
    )
    started = Run.objects.filter(event_id__in=ids).order_by("id")

    assert [live.ended(run).output for run in started] == [0, 2]
