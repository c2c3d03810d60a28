"""What the invoking function sees when the child fails, is cancelled, is late or is unknown."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from inngest_django.engine import cancellation
from inngest_django.models import Run
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


class ChildError(Exception):
    pass


@client.create_function(fn_id="invoke-failures-child", retries=1, trigger=[])
def child(ctx: inngest.ContextSync) -> str:
    if ctx.event.data["do"] == "fail":
        raise ChildError("child failed")
    ctx.step.sleep("nap", ctx.event.data["sleep"])  # type: ignore[arg-type]
    return "slept"


def _arguments(ctx: Any) -> dict[str, Any]:
    data = ctx.event.data
    return {
        "function_id": data.get("function_id", child.local_id),
        "data": {"do": data["do"], "sleep": data.get("sleep")},
        "timeout": data.get("timeout"),
    }


@client.create_function(
    fn_id="invoke-failures", trigger=inngest.TriggerEvent(event=event_name("invoke-failures"))
)
def parent(ctx: inngest.ContextSync) -> object:
    try:
        return ctx.step.invoke_by_id("invoke", **_arguments(ctx))
    except inngest.StepError as error:
        return [error.name, error.message, error.stack]


@client.create_function(
    fn_id="invoke-failures-async",
    trigger=inngest.TriggerEvent(event=event_name("invoke-failures-async")),
)
async def parent_async(ctx: inngest.Context) -> object:
    try:
        return await ctx.step.invoke_by_id("invoke", **_arguments(ctx))
    except inngest.StepError as error:
        return [error.name, error.message, error.stack]


def _child_of(live: Live, run: Run) -> Run:
    return live.wait_until(
        lambda: Run.objects.filter(parent__run=run).first(), what="the child's run"
    )


@both(parent, parent_async)
def test_a_failed_child(live: Live, function: inngest.Function) -> None:
    run = live.run(function, {"do": "fail"})

    assert run.status == "completed", run.error
    name, message, stack = run.output
    assert (name, message) == ("ChildError", "child failed")
    assert "test_invoke_failures.py" in stack
    # The child has its own retries; the parent's step has none.
    assert Run.objects.get(parent__run=run).attempts.count() == 2
    assert Run.objects.filter(parent__run=run).count() == 1
    assert run.steps.get().status == "failed"


@both(parent, parent_async)
def test_a_cancelled_child(live: Live, function: inngest.Function) -> None:
    run = live.start(function, {"do": "sleep", "sleep": "1h"})
    invoked = _child_of(live, run)
    live.step(invoked, "nap", status="waiting")
    cancellation.cancel(invoked.id)
    run = live.ended(run)

    assert run.status == "completed", run.error
    assert "cancelled" in run.output[1]


@both(parent, parent_async)
def test_a_late_child_goes_on(live: Live, function: inngest.Function) -> None:
    run = live.run(function, {"do": "sleep", "sleep": "2s", "timeout": "1s"})

    assert run.status == "completed", run.error
    assert run.output[:2] == [
        "InngestInvokeTimeoutError",
        "Timed out waiting for invoked function to complete",
    ]
    invoked = _child_of(live, run)
    assert invoked.is_live or invoked.ended_at > run.ended_at
    assert live.ended(invoked).output == "slept"


@both(parent, parent_async)
def test_an_unknown_function(live: Live, function: inngest.Function) -> None:
    run = live.run(function, {"do": "sleep", "function_id": "nobody-has-this"})

    assert run.status == "completed", run.error
    assert run.output[1] == "could not find function with ID: functional-nobody-has-this"
    assert run.steps.get().error["code"] == "function_not_found"


@both(parent, parent_async)
def test_in_time(live: Live, function: inngest.Function) -> None:
    assert live.run(function, {"do": "sleep", "sleep": 0, "timeout": "1h"}).output == "slept"
