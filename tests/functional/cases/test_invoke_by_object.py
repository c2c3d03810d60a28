"""``step.invoke`` runs another function and returns its output."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both

OUTPUT = {"foo": {"bar": [1, None]}}


@client.create_function(
    fn_id="invoke-by-object/child",
    retries=0,
    trigger=inngest.TriggerEvent(event="never"),
)
def child(ctx: inngest.ContextSync) -> dict[str, Any]:
    return {**OUTPUT, "event": ctx.event.name, "n": ctx.event.data["n"]}


@client.create_function(
    fn_id="invoke-by-object-async/child",
    retries=0,
    trigger=[],
)
async def child_async(ctx: inngest.Context) -> dict[str, Any]:
    return {**OUTPUT, "event": ctx.event.name, "n": ctx.event.data["n"]}


@client.create_function(
    fn_id="invoke-by-object",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("invoke-by-object")),
)
def parent(ctx: inngest.ContextSync) -> Any:
    return ctx.step.invoke("invoke", function=child, data={"n": 3})


@client.create_function(
    fn_id="invoke-by-object-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("invoke-by-object-async")),
)
async def parent_async(ctx: inngest.Context) -> Any:
    return await ctx.step.invoke("invoke", function=child_async, data={"n": 3})


@both(parent, parent_async)
def test_the_childs_output_is_the_steps_result(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed", run.error
    assert run.output == {**OUTPUT, "event": "inngest/function.invoked", "n": 3}
    step = run.steps.get()
    assert (step.op, step.status, step.output) == ("InvokeFunction", "completed", run.output)
    [invoked] = step.children.all()
    assert invoked.status == "completed"
    assert invoked.event.data["_inngest"]["fn_id"] == invoked.function_id
