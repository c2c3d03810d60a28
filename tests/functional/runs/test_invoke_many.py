"""Invokes in a group, invokes of invokes, and an invoke in a loop."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from inngest_django.models import Run
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


@client.create_function(fn_id="invoke-many-factorial", retries=0, trigger=[])
def factorial(ctx: inngest.ContextSync) -> Any:
    n: Any = ctx.event.data["n"]
    if n <= 1:
        return 1
    # By id, because the name is not bound while its own body is declared.
    return n * ctx.step.invoke_by_id(
        "smaller", function_id="invoke-many-factorial", data={"n": n - 1}
    )


@client.create_function(
    fn_id="invoke-many", retries=0, trigger=inngest.TriggerEvent(event=event_name("invoke-many"))
)
def parent(ctx: inngest.ContextSync) -> Any:
    together = ctx.group.parallel(
        tuple(
            lambda n=n: ctx.step.invoke(f"factorial-{n}", function=factorial, data={"n": n})
            for n in (1, 2, 3, 4)
        )
    )
    looped = [ctx.step.invoke("loop", function=factorial, data={"n": n}) for n in (1, 2)]
    return [*together, *looped]


@client.create_function(
    fn_id="invoke-many-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("invoke-many-async")),
)
async def parent_async(ctx: inngest.Context) -> Any:
    together = await ctx.group.parallel(
        tuple(
            lambda n=n: ctx.step.invoke(f"factorial-{n}", function=factorial, data={"n": n})
            for n in (1, 2, 3, 4)
        )
    )
    looped = [await ctx.step.invoke("loop", function=factorial, data={"n": n}) for n in (1, 2)]
    return [*together, *looped]


@both(parent, parent_async)
def test_every_child_once(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed", run.error
    assert run.output == [1, 2, 6, 24, 1, 2]
    assert Run.objects.filter(parent__run=run).count() == 6
