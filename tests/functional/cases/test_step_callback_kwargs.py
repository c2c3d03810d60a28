"""A ``functools.partial`` brings keyword arguments to a body."""

from __future__ import annotations

import functools
from typing import Any

import inngest_django as inngest
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


@client.create_function(
    fn_id="step-callback-kwargs",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("step-callback-kwargs")),
)
def step_callback_kwargs(ctx: inngest.ContextSync) -> list[Any]:
    def body(a: int, *, b: str) -> list[Any]:
        return [a, b]

    return ctx.step.run("first", functools.partial(body, b="kw"), 1)


@client.create_function(
    fn_id="step-callback-kwargs-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("step-callback-kwargs-async")),
)
async def step_callback_kwargs_async(ctx: inngest.Context) -> list[Any]:
    async def body(a: int, *, b: str) -> list[Any]:
        return [a, b]

    return await ctx.step.run("first", functools.partial(body, 1, b="kw"))


@both(step_callback_kwargs, step_callback_kwargs_async)
def test_keyword_arguments_reach_the_body(live: Live, function: inngest.Function) -> None:
    assert live.run(function).output == [1, "kw"]
