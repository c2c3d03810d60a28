"""``NonRetriableError`` in a step fails the run at once."""

from __future__ import annotations

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


@client.create_function(
    fn_id="non-retriable-error",
    retries=1,
    trigger=inngest.TriggerEvent(event=event_name("non-retriable-error")),
)
def non_retriable(ctx: inngest.ContextSync) -> None:
    def body() -> None:
        ledger.note(ctx.run_id, "attempt", ctx.attempt)
        raise inngest.NonRetriableError("foo", quiet=True)

    ctx.step.run("first", body)


@client.create_function(
    fn_id="non-retriable-error-async",
    retries=1,
    trigger=inngest.TriggerEvent(event=event_name("non-retriable-error-async")),
)
async def non_retriable_async(ctx: inngest.Context) -> None:
    async def body() -> None:
        ledger.note(ctx.run_id, "attempt", ctx.attempt)
        raise inngest.NonRetriableError("foo", quiet=True)

    await ctx.step.run("first", body)


@both(non_retriable, non_retriable_async)
def test_the_run_fails_at_the_first_attempt(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "failed"
    assert {key: run.error[key] for key in ("code", "name", "message")} == {
        "code": "non_retriable_error",
        "name": "NonRetriableError",
        "message": "foo",
    }
    assert [note.value for note in ledger.notes(run.id, "attempt")] == [0]
