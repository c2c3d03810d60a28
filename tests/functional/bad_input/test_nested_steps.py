"""A step started inside another step's body fails the outer one, whatever its kind."""

from __future__ import annotations

from typing import Any

import pytest

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


@client.create_function(fn_id="nested-child", trigger=[])
def child(ctx: inngest.ContextSync) -> None:
    return None


def _inner(step: Any, kind: str) -> Any:
    return {
        "run": lambda: step.run("inner", lambda: None),
        "sleep": lambda: step.sleep("inner", 1),
        "wait": lambda: step.wait_for_event("inner", event="x", timeout=1_000),
        "invoke": lambda: step.invoke("inner", function=child),
        "send": lambda: step.send_event("inner", inngest.Event(name="functional/nobody")),
        "transaction": lambda: step.transaction("inner", lambda: None),
    }[kind]()


@client.create_function(
    fn_id="nested-steps", trigger=inngest.TriggerEvent(event=event_name("nested-steps"))
)
def nested(ctx: inngest.ContextSync) -> None:  # inngest: allow W011
    def outer() -> None:
        ledger.note(ctx.run_id, "outer")
        _inner(ctx.step, str(ctx.event.data["kind"]))
        ledger.note(ctx.run_id, "after inner")

    ctx.step.run("outer", outer)


@client.create_function(
    fn_id="nested-steps-async",
    trigger=inngest.TriggerEvent(event=event_name("nested-steps-async")),
)
async def nested_async(ctx: inngest.Context) -> None:  # inngest: allow W011
    async def outer() -> None:
        ledger.note(ctx.run_id, "outer")
        await _inner(ctx.step, str(ctx.event.data["kind"]))
        ledger.note(ctx.run_id, "after inner")

    await ctx.step.run("outer", outer)


@pytest.mark.parametrize("kind", ["run", "sleep", "wait", "invoke", "send", "transaction"])
@both(nested, nested_async)
def test_the_outer_step_fails_at_once(live: Live, function: inngest.Function, kind: str) -> None:
    run = live.run(function, {"kind": kind})

    assert run.status == "failed"
    assert run.error["message"] == "Nested steps are not supported."
    assert run.error["name"] == "CodedError"
    step = run.steps.get()
    assert (step.name, step.status) == ("outer", "failed")
    assert step.error["code"] == "step_nested"
    assert ledger.order(run.id) == ["outer"]
