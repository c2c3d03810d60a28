"""Function-level middleware: every hook, in the documented order, and a replaced output."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import CHECKPOINTED, both


class _Recorder:
    """What both middleware classes share: hooks before ``transform_input`` know no run."""

    run_id = ""

    def record(self, what: str) -> None:
        ledger.note(self.run_id, what)


class Recorder(_Recorder, inngest.MiddlewareSync):
    def transform_input(self, ctx: Any, function: Any, steps: inngest.StepMemos) -> None:
        self.run_id = ctx.run_id
        self.record("transform_input")

    def before_execution(self) -> None:
        self.record("before_execution")

    def after_execution(self) -> None:
        self.record("after_execution")

    def transform_output(self, result: inngest.TransformOutputResult) -> None:
        self.record("transform_output")
        if result.step is not None and result.step.id == "step_1":
            result.output = "transformed output"

    def before_response(self) -> None:
        self.record("before_response")

    def before_send_events(self, events: list[inngest.Event]) -> None:
        self.record("before_send_events")

    def after_send_events(self, result: inngest.SendEventsResult) -> None:
        self.record("after_send_events")


class RecorderAsync(_Recorder, inngest.Middleware):
    async def transform_input(self, ctx: Any, function: Any, steps: inngest.StepMemos) -> None:
        self.run_id = ctx.run_id
        self.record("transform_input")

    async def before_execution(self) -> None:
        self.record("before_execution")

    async def after_execution(self) -> None:
        self.record("after_execution")

    async def transform_output(self, output: inngest.TransformOutputResult) -> None:
        self.record("transform_output")
        if output.step is not None and output.step.id == "step_1":
            output.output = "transformed output"

    async def before_response(self) -> None:
        self.record("before_response")

    async def before_send_events(self, events: list[inngest.Event]) -> None:
        self.record("before_send_events")

    async def after_send_events(self, result: inngest.SendEventsResult) -> None:
        self.record("after_send_events")


@client.create_function(
    fn_id="function-middleware",
    middleware=[Recorder],
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("function-middleware")),
)
def with_middleware(ctx: inngest.ContextSync) -> object:
    ledger.note(ctx.run_id, "before step 1")
    result = ctx.step.run("step_1", lambda: "original output")
    ledger.note(ctx.run_id, "after step 1")
    ctx.step.send_event("send", inngest.Event(name="functional/nobody"))
    ledger.note(ctx.run_id, "after send")
    return result


@client.create_function(
    fn_id="function-middleware-async",
    middleware=[RecorderAsync],
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("function-middleware-async")),
)
async def with_middleware_async(ctx: inngest.Context) -> object:
    ledger.note(ctx.run_id, "before step 1")
    result = await ctx.step.run("step_1", lambda: "original output")
    ledger.note(ctx.run_id, "after step 1")
    await ctx.step.send_event("send", inngest.Event(name="functional/nobody"))
    ledger.note(ctx.run_id, "after send")
    return result


IN_THREE_ENTRIES = [
    # Entry 1
    "transform_input",
    "before_execution",
    "before step 1",
    "after_execution",
    "transform_output",
    "before_response",
    # Entry 2
    "transform_input",
    "before step 1",
    "before_execution",
    "after step 1",
    "before_send_events",
    "after_send_events",
    "after_execution",
    "transform_output",
    "before_response",
    # Entry 3
    "transform_input",
    "before step 1",
    "after step 1",
    "before_execution",
    "after send",
    "after_execution",
    "transform_output",
    "before_response",
]
# The ordinary code between the steps runs once; a step's output is still transformed.
IN_ONE_ENTRY = [
    "transform_input",
    "before_execution",
    "before step 1",
    "transform_output",
    "after step 1",
    "before_send_events",
    "after_send_events",
    "transform_output",
    "after send",
    "after_execution",
    "transform_output",
    "before_response",
]


@both(with_middleware, with_middleware_async)
def test_the_hooks_run_in_order(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed", run.error
    assert ledger.order(run.id) == (IN_ONE_ENTRY if CHECKPOINTED else IN_THREE_ENTRIES)
    assert run.steps.get(name="step_1").output == "transformed output"
    assert run.output == "transformed output"
