"""A group of an invoke, two runs and a send: six entries, each body once, results in order."""

from __future__ import annotations

import functools
from typing import Any

import pytest

import inngest_django as inngest
from inngest_django.models import Event
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import CHECKPOINTED, both

pytestmark = [pytest.mark.smoke]


@client.create_function(
    fn_id="parallel-steps/child",
    retries=0,
    trigger=inngest.TriggerEvent(event="never"),
)
def child(ctx: inngest.ContextSync) -> dict[str, str]:
    ctx.step.sleep("zzz", 1000)
    return {"foo": "bar"}


@client.create_function(
    fn_id="parallel-steps",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("parallel-steps")),
)
def parallel(ctx: inngest.ContextSync) -> list[Any]:
    ledger.note(ctx.run_id, "entered")

    def body(name: str) -> str:
        ledger.note(ctx.run_id, name)
        return f"out {name}"

    together = ctx.group.parallel(
        (
            lambda: ctx.step.invoke("invoke", function=child),
            lambda: ctx.step.run("a", body, "a"),
            functools.partial(ctx.step.run, "b", body, "b"),
            lambda: ctx.step.send_event("send", inngest.Event(name="functional/nobody")),
        )
    )
    return [together, ctx.step.run("after", body, "after")]


@client.create_function(
    fn_id="parallel-steps-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("parallel-steps-async")),
)
async def parallel_async(ctx: inngest.Context) -> list[Any]:
    ledger.note(ctx.run_id, "entered")

    async def body(name: str) -> str:
        ledger.note(ctx.run_id, name)
        return f"out {name}"

    together: Any = await ctx.group.parallel(
        (
            lambda: ctx.step.invoke("invoke", function=child),  # type: ignore[arg-type, return-value]
            lambda: ctx.step.run("a", body, "a"),
            functools.partial(ctx.step.run, "b", body, "b"),
            lambda: ctx.step.send_event("send", inngest.Event(name="functional/nobody")),
        )
    )
    return [together, await ctx.step.run("after", body, "after")]


@both(parallel, parallel_async)
def test_a_mixed_group(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed", run.error
    [invoked, a, b, sent], after = run.output
    assert (invoked, a, b, after) == ({"foo": "bar"}, "out a", "out b", "out after")
    assert Event.objects.get(pk=sent[0]).name == "functional/nobody"
    assert [ledger.count(run.id, name) for name in ("a", "b", "after")] == [1, 1, 1]
    # One plans, three run a step each, one runs the step after the group, one returns:
    # checkpointed, the same one.
    assert ledger.count(run.id, "entered") == (5 if CHECKPOINTED else 6)
