"""A send that fails in a step: ``after_send_events`` is told, then the step is tried again."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


class _Watching(inngest.MiddlewareSync):
    def transform_input(self, ctx: Any, function: Any, steps: inngest.StepMemos) -> None:
        self.run_id = ctx.run_id

    def after_send_events(self, result: inngest.SendEventsResult) -> None:
        ledger.note(self.run_id, "after_send_events", [bool(result.error), len(result.ids)])


@client.create_function(
    fn_id="failed-send",
    middleware=[_Watching],
    retries=1,
    trigger=inngest.TriggerEvent(event=event_name("failed-send")),
)
def failing(ctx: inngest.ContextSync) -> object:
    name = "" if ctx.attempt == 0 else "functional/nobody"
    return len(ctx.step.send_event("send", inngest.Event(name=name)))


@client.create_function(
    fn_id="failed-send-async",
    middleware=[_Watching],
    retries=1,
    trigger=inngest.TriggerEvent(event=event_name("failed-send-async")),
)
async def failing_async(ctx: inngest.Context) -> object:
    name = "" if ctx.attempt == 0 else "functional/nobody"
    return len(await ctx.step.send_event("send", inngest.Event(name=name)))


@both(failing, failing_async)
def test_the_hook_sees_failure_and_success(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed", run.error
    assert run.output == 1
    notes = [note.value for note in ledger.notes(run.id, "after_send_events")]
    assert notes == [[True, 0], [False, 1]]
