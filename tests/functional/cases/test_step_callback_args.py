"""Positional extra arguments of ``step.run`` reach the body."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


@client.create_function(
    fn_id="step-callback-args",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("step-callback-args")),
)
def step_callback_args(ctx: inngest.ContextSync) -> list[Any]:
    def body(a: int, b: str) -> list[Any]:
        return [a, b]

    return ctx.step.run("first", body, 1, "a")


@client.create_function(
    fn_id="step-callback-args-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("step-callback-args-async")),
)
async def step_callback_args_async(ctx: inngest.Context) -> list[Any]:
    async def body(a: int, b: str) -> list[Any]:
        return [a, b]

    return await ctx.step.run("first", body, 1, "a")


@both(step_callback_args, step_callback_args_async)
def test_arguments_reach_the_body_and_are_shown(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.output == [1, "a"]
    assert run.steps.get().input == [1, "a"]
