"""An event with a ``ts`` in the future: the run exists at once and starts at that time."""

from __future__ import annotations

import time

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name


@client.create_function(
    fn_id="future-ts", retries=0, trigger=inngest.TriggerEvent(event=event_name("future-ts"))
)
def future_ts(ctx: inngest.ContextSync) -> None:
    ledger.note(ctx.run_id, "entered")


def test_the_run_waits_for_the_time(live: Live) -> None:
    at = int((time.time() + 2) * 1000)
    run = live.start(future_ts, ts=at)

    assert run.status == "queued"
    live.ended(run)
    [entered] = ledger.notes(run.id, "entered")
    assert entered.at * 1000 >= at


def test_a_time_in_the_past_changes_nothing(live: Live) -> None:
    run = live.run(future_ts, ts=1_000_000_000_000)

    assert run.status == "completed"
    assert run.event.ts == 1_000_000_000_000
