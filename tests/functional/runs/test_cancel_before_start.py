"""A run that has not started can be cancelled; its code never runs."""

from __future__ import annotations

import time

import inngest_django as inngest
from inngest_django.engine import cancellation
from tests import ledger
from tests.functional.support import Live, client, event_name


@client.create_function(
    fn_id="cancel-before-start",
    trigger=inngest.TriggerEvent(event=event_name("cancel-before-start")),
)
def delayed(ctx: inngest.ContextSync) -> None:
    ledger.note(ctx.run_id, "entered")


def test_nothing_of_it_runs(live: Live) -> None:
    at = int((time.time() + 1) * 1000)
    run = live.start(delayed, ts=at)
    other = live.start(delayed, ts=at)
    assert cancellation.cancel(run.id)
    live.ended(other)

    run.refresh_from_db()
    assert run.status == "cancelled"
    assert run.started_at is None
    assert ledger.order(run.id) == []
    assert ledger.order(other.id) == ["entered"]
