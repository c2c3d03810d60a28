"""An exception between steps: the function is entered again, with attempts of its own."""

from __future__ import annotations

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


@client.create_function(
    fn_id="function-retry",
    retries=1,
    trigger=inngest.TriggerEvent(event=event_name("function-retry")),
)
def retried(ctx: inngest.ContextSync) -> str:
    ledger.note(ctx.run_id, "start", ctx.attempt)
    if ctx.event.data["fail"] == "start" and ledger.count(ctx.run_id, "start") == 1:
        raise ValueError("start")
    ctx.step.run("one", lambda: ledger.note(ctx.run_id, "one"))
    ledger.note(ctx.run_id, "end", ctx.attempt)
    if ctx.attempt == 0 or ctx.event.data["fail"] == "always":
        raise ValueError("end")
    return "done"


@client.create_function(
    fn_id="function-retry-async",
    retries=1,
    trigger=inngest.TriggerEvent(event=event_name("function-retry-async")),
)
async def retried_async(ctx: inngest.Context) -> str:
    ledger.note(ctx.run_id, "start", ctx.attempt)
    if ctx.event.data["fail"] == "start" and ledger.count(ctx.run_id, "start") == 1:
        raise ValueError("start")
    await ctx.step.run("one", lambda: ledger.note(ctx.run_id, "one"))
    ledger.note(ctx.run_id, "end", ctx.attempt)
    if ctx.attempt == 0 or ctx.event.data["fail"] == "always":
        raise ValueError("end")
    return "done"


@both(retried, retried_async)
def test_attempts_start_again_after_a_recorded_step(live: Live, function: inngest.Function) -> None:
    # One retry allowed, used before the step; the stretch after it has one of its own.
    run = live.run(function, {"fail": "start"})

    assert run.status == "completed", run.error
    assert run.output == "done"
    assert ledger.count(run.id, "one") == 1
    assert [note.value for note in ledger.notes(run.id, "end")] == [0, 1]
    assert [a.error["message"] for a in run.attempts.order_by("id")] == ["start", "end"]


@both(retried, retried_async)
def test_used_up_attempts_fail_the_run(live: Live, function: inngest.Function) -> None:
    run = live.run(function, {"fail": "always"})

    assert run.status == "failed"
    assert (run.error["name"], run.error["message"]) == ("ValueError", "end")
    assert ledger.count(run.id, "one") == 1
    assert ledger.count(run.id, "end") == 2
