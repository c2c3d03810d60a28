"""``step.invoke_by_id`` finds a function by app and id, whatever characters the id has."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


@client.create_function(
    fn_id="invoke-by-id/child ünï",
    retries=0,
    trigger=inngest.TriggerEvent(event="never"),
)
def child(ctx: inngest.ContextSync) -> dict[str, Any]:
    return {"foo": {"bar": 1}}


@client.create_function(
    fn_id="invoke-by-id",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("invoke-by-id")),
)
def parent(ctx: inngest.ContextSync) -> Any:
    first = ctx.step.invoke_by_id(
        "invoke", app_id=client.app_id, function_id="invoke-by-id/child ünï"
    )
    own = ctx.step.invoke_by_id("own-app", function_id="invoke-by-id/child ünï")
    return [first, own]


@client.create_function(
    fn_id="invoke-by-id-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("invoke-by-id-async")),
)
async def parent_async(ctx: inngest.Context) -> Any:
    first = await ctx.step.invoke_by_id(
        "invoke", app_id=client.app_id, function_id="invoke-by-id/child ünï"
    )
    own = await ctx.step.invoke_by_id("own-app", function_id="invoke-by-id/child ünï")
    return [first, own]


@both(parent, parent_async)
def test_a_function_is_found_by_its_id(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed", run.error
    assert run.output == [{"foo": {"bar": 1}}, {"foo": {"bar": 1}}]
