"""``RACE`` mode: branches advance independently, also while another one sleeps."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


@client.create_function(
    fn_id="race", retries=0, trigger=inngest.TriggerEvent(event=event_name("race"))
)
def race(ctx: inngest.ContextSync) -> Any:
    def slow() -> str:
        ctx.step.sleep("nap", 2_000)
        return ctx.step.run("slow", _note(ctx.run_id, "slow"))

    def quick() -> list[str]:
        return [ctx.step.run(f"quick-{n}", _note(ctx.run_id, f"quick-{n}")) for n in range(3)]

    return ctx.group.parallel((slow, quick), parallel_mode=inngest.ParallelMode.RACE)  # type: ignore[arg-type]


@client.create_function(
    fn_id="race-async", retries=0, trigger=inngest.TriggerEvent(event=event_name("race-async"))
)
async def race_async(ctx: inngest.Context) -> Any:
    async def slow() -> Any:
        await ctx.step.sleep("nap", 2_000)
        return await ctx.step.run("slow", _note(ctx.run_id, "slow"))

    async def quick() -> Any:
        return [await ctx.step.run(f"quick-{n}", _note(ctx.run_id, f"quick-{n}")) for n in range(3)]

    return await ctx.group.parallel((slow, quick), parallel_mode=inngest.ParallelMode.RACE)


def _note(run_id: str, what: str) -> Any:
    def body() -> str:
        ledger.note(run_id, what)
        return what

    return body


@both(race, race_async)
def test_a_quick_branch_does_not_wait_for_a_slow_one(
    live: Live, function: inngest.Function
) -> None:
    run = live.run(function)

    assert run.status == "completed", run.error
    assert run.output == ["slow", ["quick-0", "quick-1", "quick-2"]]
    assert ledger.order(run.id) == ["quick-0", "quick-1", "quick-2", "slow"]
