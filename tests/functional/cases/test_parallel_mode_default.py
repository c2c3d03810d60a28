"""Branches of several steps advance in lockstep by default."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both

SLOW = 0.6


@client.create_function(
    fn_id="parallel-mode-default",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("parallel-mode-default")),
)
def lockstep(ctx: inngest.ContextSync) -> Any:
    ledger.note(ctx.run_id, "entered")

    def body(name: str, seconds: float) -> str:
        time.sleep(seconds)
        ledger.note(ctx.run_id, name)
        return name

    def branch(name: str, seconds: float) -> list[str]:
        first = ctx.step.run(f"{name}.1", body, f"{name}.1", seconds)
        second = ctx.step.run(f"{name}.2", body, f"{name}.2", seconds)
        return [first, second]

    return ctx.group.parallel((lambda: branch("a", 0), lambda: branch("b", SLOW)))


@client.create_function(
    fn_id="parallel-mode-default-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("parallel-mode-default-async")),
)
async def lockstep_async(ctx: inngest.Context) -> Any:
    ledger.note(ctx.run_id, "entered")

    async def body(name: str, seconds: float) -> str:
        await asyncio.sleep(seconds)
        ledger.note(ctx.run_id, name)
        return name

    async def branch(name: str, seconds: float) -> list[str]:
        first = await ctx.step.run(f"{name}.1", body, f"{name}.1", seconds)
        second = await ctx.step.run(f"{name}.2", body, f"{name}.2", seconds)
        return [first, second]

    return await ctx.group.parallel((lambda: branch("a", 0), lambda: branch("b", SLOW)))


@both(lockstep, lockstep_async)
def test_second_steps_wait_for_all_first_ones(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.output == [["a.1", "a.2"], ["b.1", "b.2"]]
    steps = [what for what in ledger.order(run.id) if what != "entered"]
    assert steps == ["a.1", "b.1", "a.2", "b.2"]
    # Two plan, four run a step each, one returns.
    assert ledger.count(run.id, "entered") == 7
