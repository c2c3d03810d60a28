"""A step that fails is tried again; the function does not see it, finished steps stay."""

from __future__ import annotations

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


@client.create_function(
    fn_id="step-retry", trigger=inngest.TriggerEvent(event=event_name("step-retry"))
)
def retried(ctx: inngest.ContextSync) -> object:
    def body() -> int:
        ledger.note(ctx.run_id, "body", ctx.attempt)
        if ctx.attempt < 2:
            raise ValueError(f"try {ctx.attempt}")
        return ctx.attempt

    ctx.step.run("before", lambda: ledger.note(ctx.run_id, "before"))
    try:
        return ctx.step.run("body", body)
    except Exception:
        ledger.note(ctx.run_id, "seen")
        raise


@client.create_function(
    fn_id="step-retry-async", trigger=inngest.TriggerEvent(event=event_name("step-retry-async"))
)
async def retried_async(ctx: inngest.Context) -> object:
    async def body() -> int:
        ledger.note(ctx.run_id, "body", ctx.attempt)
        if ctx.attempt < 2:
            raise ValueError(f"try {ctx.attempt}")
        return ctx.attempt

    await ctx.step.run("before", lambda: ledger.note(ctx.run_id, "before"))
    try:
        return await ctx.step.run("body", body)
    except Exception:
        ledger.note(ctx.run_id, "seen")
        raise


@both(retried, retried_async)
def test_attempts_count_up_and_the_function_sees_nothing(
    live: Live, function: inngest.Function
) -> None:
    run = live.run(function)

    assert run.status == "completed", run.error
    assert run.output == 2
    assert ledger.order(run.id) == ["before", "body", "body", "body"]
    assert [note.value for note in ledger.notes(run.id, "body")] == [0, 1, 2]
    step = run.steps.get(name="body")
    assert step.attempt_count == 3
    assert [(a.number, a.error["message"]) for a in step.attempts.order_by("number")] == [
        (0, "try 0"),
        (1, "try 1"),
    ]
