"""``get_step_context`` gives the step tools to code that was not handed them."""

from __future__ import annotations

from typing import cast

import pytest

import inngest_django as inngest
from inngest_django import experimental
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


def _helper() -> str:
    step = cast("inngest.StepSync", experimental.get_step_context())
    return step.run("from-helper", lambda: "helper")


async def _helper_async() -> str:
    step = cast("inngest.Step", experimental.get_step_context())
    return await step.run("from-helper", lambda: "helper")


@client.create_function(
    fn_id="step-context",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("step-context")),
)
def step_context(ctx: inngest.ContextSync) -> list[str]:
    return [_helper(), ctx.step.run("own", lambda: "own")]


@client.create_function(
    fn_id="step-context-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("step-context-async")),
)
async def step_context_async(ctx: inngest.Context) -> list[str]:
    return [await _helper_async(), await ctx.step.run("own", lambda: "own")]


@both(step_context, step_context_async)
def test_both_ways_make_ordinary_steps(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.output == ["helper", "own"]
    assert [step.name for step in run.steps.order_by("id")] == ["from-helper", "own"]


def test_outside_a_function_there_is_none() -> None:
    with pytest.raises(LookupError, match="step context"):
        experimental.get_step_context()
