"""A function decorated with ``experimental.step`` is a step wherever a function calls it."""

from __future__ import annotations

import asyncio

import inngest_django as inngest
from inngest_django import experimental
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


@experimental.step("step_1")
def greet(run_id: str, name: str) -> str:
    ledger.note(run_id, "step_1")
    return f"hello {name}"


@experimental.step("step_1")
async def greet_async(run_id: str, name: str) -> str:
    ledger.note(run_id, "step_1")
    return f"hello {name}"


@client.create_function(
    fn_id="step-decorator",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("step-decorator")),
)
def step_decorator(ctx: inngest.ContextSync) -> str:
    return greet(ctx.run_id, name="Ada")


@client.create_function(
    fn_id="step-decorator-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("step-decorator-async")),
)
async def step_decorator_async(ctx: inngest.Context) -> str:
    return await greet_async(ctx.run_id, name="Ada")


@both(step_decorator, step_decorator_async)
def test_a_decorated_function_is_a_step(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.output == "hello Ada"
    step = run.steps.get()
    assert (step.name, step.output) == ("step_1", "hello Ada")
    assert ledger.count(run.id, "step_1") == 1


def test_outside_a_function_it_is_called_as_it_is() -> None:
    assert greet("outside-decorated", "Bob") == "hello Bob"
    assert asyncio.run(greet_async("outside-decorated", "Bob")) == "hello Bob"
