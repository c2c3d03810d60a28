"""``NonRetriableError`` from a body travels through the function, where it may be caught."""

from __future__ import annotations

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


@client.create_function(
    fn_id="non-retriable-bubbles",
    trigger=inngest.TriggerEvent(event=event_name("non-retriable-bubbles")),
)
def bubbling(ctx: inngest.ContextSync) -> str:
    def body() -> None:
        ledger.note(ctx.run_id, "body")
        raise inngest.NonRetriableError("no use")

    if ctx.event.data["where"] == "function":
        ledger.note(ctx.run_id, "function")
        raise inngest.NonRetriableError("no use")
    try:
        ctx.step.run("body", body)
    except inngest.NonRetriableError as error:
        return f"caught {error.message}"
    return "not raised"


@client.create_function(
    fn_id="non-retriable-bubbles-async",
    trigger=inngest.TriggerEvent(event=event_name("non-retriable-bubbles-async")),
)
async def bubbling_async(ctx: inngest.Context) -> str:
    async def body() -> None:
        ledger.note(ctx.run_id, "body")
        raise inngest.NonRetriableError("no use")

    if ctx.event.data["where"] == "function":
        ledger.note(ctx.run_id, "function")
        raise inngest.NonRetriableError("no use")
    try:
        await ctx.step.run("body", body)
    except inngest.NonRetriableError as error:
        return f"caught {error.message}"
    return "not raised"


@both(bubbling, bubbling_async)
def test_it_can_be_caught_around_the_step(live: Live, function: inngest.Function) -> None:
    run = live.run(function, {"where": "step"})

    assert run.status == "completed", run.error
    assert run.output == "caught no use"
    assert ledger.count(run.id, "body") == 1
    assert not run.steps.filter(status="completed").exists()


@both(bubbling, bubbling_async)
def test_in_the_function_it_fails_the_run_at_once(live: Live, function: inngest.Function) -> None:
    run = live.run(function, {"where": "function"})

    assert run.status == "failed"
    assert run.error["code"] == "non_retriable_error"
    assert ledger.count(run.id, "function") == 1
