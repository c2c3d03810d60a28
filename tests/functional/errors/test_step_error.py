"""A step that failed for good raises ``StepError``; who catches it goes on with new attempts."""

from __future__ import annotations

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


@client.create_function(
    fn_id="step-error-caught",
    trigger=inngest.TriggerEvent(event=event_name("step-error-caught")),
)
def caught(ctx: inngest.ContextSync) -> object:
    def body() -> None:
        ledger.note(ctx.run_id, "failing", ctx.attempt)
        raise ConnectionError("gateway down")

    try:
        ctx.step.run("failing", body)
    except inngest.StepError as error:
        later = ctx.step.run("later", lambda: ctx.attempt)
        return [error.name, error.message, str(error), "gateway down" in str(error.stack), later]
    return "not raised"


@client.create_function(
    fn_id="step-error-caught-async",
    trigger=inngest.TriggerEvent(event=event_name("step-error-caught-async")),
)
async def caught_async(ctx: inngest.Context) -> object:
    async def body() -> None:
        ledger.note(ctx.run_id, "failing", ctx.attempt)
        raise ConnectionError("gateway down")

    try:
        await ctx.step.run("failing", body)
    except inngest.StepError as error:
        later = await ctx.step.run("later", lambda: ctx.attempt)
        return [error.name, error.message, str(error), "gateway down" in str(error.stack), later]
    return "not raised"


@both(caught, caught_async)
def test_five_attempts_then_a_step_error(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed", run.error
    assert run.output == ["ConnectionError", "gateway down", "gateway down", True, 0]
    assert [note.value for note in ledger.notes(run.id, "failing")] == [0, 1, 2, 3, 4]
    step = run.steps.get(name="failing")
    assert (step.status, step.attempt_count, step.output) == ("failed", 5, None)
    assert step.error["name"] == "ConnectionError"
    assert [a.number for a in step.attempts.order_by("number")] == [0, 1, 2, 3, 4]
    assert {a.error["message"] for a in step.attempts.all()} == {"gateway down"}


@client.create_function(
    fn_id="step-error-uncaught",
    retries=1,
    trigger=inngest.TriggerEvent(event=event_name("step-error-uncaught")),
)
def uncaught(ctx: inngest.ContextSync) -> None:
    ledger.note(ctx.run_id, "entered")

    def body() -> None:
        raise ConnectionError("gateway down")

    ctx.step.run("failing", body)


def test_uncaught_it_fails_the_run_without_another_attempt(live: Live) -> None:
    run = live.run(uncaught)

    assert run.status == "failed"
    assert {key: run.error[key] for key in ("code", "name", "message")} == {
        "code": "step_errored",
        "name": "ConnectionError",
        "message": "gateway down",
    }
    # Two tries of the step, one entry that raises the StepError.
    assert ledger.count(run.id, "entered") == 3
