"""A hook that raises ends its entry with that error, which is retried like the function's own."""

from __future__ import annotations

from typing import Any

import pytest

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name

HOOKS = (
    "transform_input",
    "before_execution",
    "after_execution",
    "transform_output",
    "before_response",
)


class _Failing(inngest.MiddlewareSync):
    """Raises in the hook that the event's data names, as long as the ledger says so."""

    def transform_input(self, ctx: Any, function: Any, steps: inngest.StepMemos) -> None:
        self.run_id, self.data = ctx.run_id, ctx.event.data
        self._reach("transform_input")

    def before_execution(self) -> None:
        self._reach("before_execution")

    def after_execution(self) -> None:
        self._reach("after_execution")

    def transform_output(self, result: inngest.TransformOutputResult) -> None:
        self._reach("transform_output")

    def before_response(self) -> None:
        self._reach("before_response")

    def _reach(self, hook: str) -> None:
        if self.data["hook"] != hook:
            return
        ledger.note(self.run_id, hook)
        if ledger.count(self.run_id, hook) <= self.data["times"]:
            raise RuntimeError(f"in {hook}")


@client.create_function(
    fn_id="failing-hooks",
    middleware=[_Failing],
    retries=1,
    trigger=inngest.TriggerEvent(event=event_name("failing-hooks")),
)
def with_hooks(ctx: inngest.ContextSync) -> str:
    return "done"


@pytest.mark.parametrize("hook", HOOKS)
def test_it_is_retried(live: Live, hook: str) -> None:
    run = live.run(with_hooks, {"hook": hook, "times": 1})

    assert run.status == "completed", run.error
    assert run.output == "done"
    assert run.attempts.get().error["message"] == f"in {hook}"


@pytest.mark.parametrize("hook", HOOKS)
def test_it_fails_the_run_in_the_end(live: Live, hook: str) -> None:
    run = live.run(with_hooks, {"hook": hook, "times": 9})

    assert run.status == "failed"
    assert run.error["message"] == f"in {hook}"
    assert run.attempts.count() == 2


class _Async(inngest.Middleware):
    async def before_execution(self) -> None:
        raise AssertionError("never called")


@client.create_function(
    fn_id="async-hook-in-plain",
    middleware=[_Async],
    trigger=inngest.TriggerEvent(event=event_name("async-hook-in-plain")),
)
def plain(ctx: inngest.ContextSync) -> None:
    ledger.note(ctx.run_id, "entered")


def test_an_async_hook_in_a_plain_function(live: Live) -> None:
    run = live.run(plain)

    assert run.status == "failed"
    assert run.error["code"] == "async_unsupported"
    assert "encountered async middleware in non-async context" in run.error["message"]
    assert ledger.order(run.id) == []
