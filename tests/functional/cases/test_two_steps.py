"""Two steps in sequence: each body runs once, and results come back unchanged."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both

FIRST: list[Any] = [{"a": {"b": None, "c": [1, "two"]}, "null": None}]


@client.create_function(
    fn_id="two-steps",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("two-steps")),
)
def two_steps(ctx: inngest.ContextSync) -> object:
    def first() -> list[Any]:
        ledger.note(ctx.run_id, "first")
        return FIRST

    def second() -> str:
        ledger.note(ctx.run_id, "second")
        return "done"

    seen = ctx.step.run("first", first)
    ledger.note(ctx.run_id, "seen", seen)
    return [seen, ctx.step.run("second", second)]


@client.create_function(
    fn_id="two-steps-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("two-steps-async")),
)
async def two_steps_async(ctx: inngest.Context) -> object:
    async def first() -> list[Any]:
        ledger.note(ctx.run_id, "first")
        return FIRST

    async def second() -> str:
        ledger.note(ctx.run_id, "second")
        return "done"

    seen = await ctx.step.run("first", first)
    ledger.note(ctx.run_id, "seen", seen)
    return [seen, await ctx.step.run("second", second)]


@both(two_steps, two_steps_async)
def test_each_body_runs_once_and_results_are_kept(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed"
    assert run.output == [FIRST, "done"]
    assert ledger.count(run.id, "first") == 1
    assert ledger.count(run.id, "second") == 1
    assert {str(note.value) for note in ledger.notes(run.id, "seen")} == {str(FIRST)}
    first, second = run.steps.order_by("id")
    assert (first.name, first.op, first.status, first.output) == (
        "first", "StepRun", "completed", FIRST,
    )  # fmt: skip
    assert (second.name, second.op, second.status, second.output) == (
        "second", "StepRun", "completed", "done",
    )  # fmt: skip
    assert [first.attempt_count, second.attempt_count] == [1, 1]
