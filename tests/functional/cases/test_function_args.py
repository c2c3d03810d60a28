"""What a handler is given."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


def _note(ctx: Any, step_class: type, group_name: str) -> None:
    ledger.note(
        ctx.run_id,
        "context",
        {
            "attempt": ctx.attempt,
            "event": isinstance(ctx.event, inngest.Event),
            "events": [isinstance(event, inngest.Event) for event in ctx.events],
            "same": ctx.events[0].id == ctx.event.id,
            "step": isinstance(ctx.step, step_class),
            "group": type(ctx.group).__name__ == group_name,
            "job_id": isinstance(ctx.job_id, str),
            "request_id": isinstance(ctx.request_id, str),
        },
    )


@client.create_function(
    fn_id="function-args",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("function-args")),
)
def function_args(ctx: inngest.ContextSync) -> None:
    _note(ctx, inngest.StepSync, "GroupSync")
    assert isinstance(ctx, inngest.ContextSync)


@client.create_function(
    fn_id="function-args-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("function-args-async")),
)
async def function_args_async(ctx: inngest.Context) -> None:
    _note(ctx, inngest.Step, "Group")
    assert isinstance(ctx, inngest.Context)


@both(function_args, function_args_async)
def test_the_context_is_complete(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed"
    assert [note.value for note in ledger.notes(run.id, "context")] == [
        {
            "attempt": 0,
            "event": True,
            "events": [True],
            "same": True,
            "step": True,
            "group": True,
            "job_id": True,
            "request_id": True,
        }
    ]
