"""A function without steps: what it returns is the run's output."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both

OUTPUT: dict[str, Any] = {"outer": {"inner": [1, 2.5, "three", None, True]}, "empty": {}}


@client.create_function(
    fn_id="no-steps",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("no-steps")),
)
def no_steps(ctx: inngest.ContextSync) -> dict[str, Any]:
    ledger.note(ctx.run_id, "entered")
    return OUTPUT


@client.create_function(
    fn_id="no-steps-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("no-steps-async")),
)
async def no_steps_async(ctx: inngest.Context) -> dict[str, Any]:
    ledger.note(ctx.run_id, "entered")
    return OUTPUT


@both(no_steps, no_steps_async)
def test_the_output_is_what_was_returned(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed"
    assert run.output == OUTPUT
    assert run.error is None
    assert ledger.count(run.id, "entered") == 1
    assert not run.steps.exists()
    assert run.queued_at <= run.started_at <= run.ended_at
