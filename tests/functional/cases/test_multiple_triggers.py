"""A function with two event triggers is started by each of them."""

from __future__ import annotations

import inngest_django as inngest
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


@client.create_function(
    fn_id="multiple-triggers",
    retries=0,
    trigger=[
        inngest.TriggerEvent(event=event_name("multiple-triggers/a")),
        inngest.TriggerEvent(event=event_name("multiple-triggers/b")),
    ],
)
def multiple_triggers(ctx: inngest.ContextSync) -> str:
    return ctx.event.name


@client.create_function(
    fn_id="multiple-triggers-async",
    retries=0,
    trigger=[
        inngest.TriggerEvent(event=event_name("multiple-triggers-async/a")),
        inngest.TriggerEvent(event=event_name("multiple-triggers-async/b")),
    ],
)
async def multiple_triggers_async(ctx: inngest.Context) -> str:
    return ctx.event.name


@both(multiple_triggers, multiple_triggers_async)
def test_each_trigger_starts_a_run_of_its_own(live: Live, function: inngest.Function) -> None:
    names = [trigger.event for trigger in function.triggers]
    runs = [live.started(live.send(name), function) for name in names]

    assert runs[0].id != runs[1].id
    assert [live.ended(run).output for run in runs] == names
