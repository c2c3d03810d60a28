"""A race that is over while a branch still sleeps: the function goes on, and its end ends all."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


def _boom() -> None:
    raise ValueError("boom")


def _note(run_id: str, what: str) -> Any:
    def body() -> str:
        ledger.note(run_id, what)
        return what

    return body


@client.create_function(
    fn_id="race-loser", retries=0, trigger=inngest.TriggerEvent(event=event_name("race-loser"))
)
def racing(ctx: inngest.ContextSync) -> Any:
    try:
        ctx.group.parallel(
            (
                lambda: ctx.step.sleep("long", "30d"),
                lambda: ctx.step.run("failing", _boom),
            ),
            parallel_mode=inngest.ParallelMode.RACE,
        )
    except inngest.StepError as error:
        found = [error.message]
    # Several, because each must be followed by an entry although the loser is still open.
    found += [ctx.step.run(name, _note(ctx.run_id, name)) for name in ("one", "two", "three")]
    return found


@client.create_function(
    fn_id="race-loser-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("race-loser-async")),
)
async def racing_async(ctx: inngest.Context) -> Any:
    try:
        await ctx.group.parallel(
            (
                lambda: ctx.step.sleep("long", "30d"),
                lambda: ctx.step.run("failing", _boom),
            ),
            parallel_mode=inngest.ParallelMode.RACE,
        )
    except inngest.StepError as error:
        found = [error.message]
    found += [await ctx.step.run(name, _note(ctx.run_id, name)) for name in ("one", "two", "three")]
    return found


@both(racing, racing_async)
def test_the_function_does_not_wait_for_the_loser(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed", run.error
    assert run.output == ["boom", "one", "two", "three"]
    assert ledger.order(run.id) == ["one", "two", "three"]
    assert run.steps.get(name="long").status == "cancelled"
    assert not run.jobs.exists()
