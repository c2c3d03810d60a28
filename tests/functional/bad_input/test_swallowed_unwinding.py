"""A handler that swallows the unwinding fails its run with an error that says so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import CHECKPOINTED


def _bare_except(ctx: inngest.ContextSync) -> Any:
    try:  # noqa: SIM105 - the case
        ctx.step.run("step", _note(ctx.run_id, "step"))
    except:  # noqa: E722 # inngest: allow W014
        pass
    return "swallowed"


def _base_exception(ctx: inngest.ContextSync) -> Any:
    try:
        ctx.step.sleep("step", "1h")
    except BaseException:  # inngest: allow W014
        raise RuntimeError("instead of it") from None


def _return_in_finally(ctx: inngest.ContextSync) -> Any:
    try:
        ctx.step.run("step", _note(ctx.run_id, "step"))
    finally:
        return "swallowed"  # noqa: B012 - the case # inngest: allow W014


def _step_in_finally(ctx: inngest.ContextSync) -> Any:
    try:
        ctx.step.run("step", _note(ctx.run_id, "step"))
    finally:
        ctx.step.run("cleanup", _note(ctx.run_id, "cleanup"))  # inngest: allow W014


def _note(run_id: str, what: str) -> Any:
    return lambda: ledger.note(run_id, what)


HANDLERS = {
    handler.__name__.strip("_").replace("_", "-"): handler
    for handler in (_bare_except, _base_exception, _return_in_finally)
}
FUNCTIONS = {
    name: client.create_function(
        fn_id=f"swallowed-{name}",
        trigger=inngest.TriggerEvent(event=event_name(f"swallowed-{name}")),
    )(handler)
    for name, handler in HANDLERS.items()
}
# Discovery looks at the names of a module.
globals().update({f"function_{name}": function for name, function in FUNCTIONS.items()})
step_in_finally = client.create_function(
    fn_id="swallowed-step-in-finally",
    trigger=inngest.TriggerEvent(event=event_name("swallowed-step-in-finally")),
)(_step_in_finally)


@client.create_function(
    fn_id="swallowed-async", trigger=inngest.TriggerEvent(event=event_name("swallowed-async"))
)
async def swallowed_async(ctx: inngest.Context) -> str:
    try:  # noqa: SIM105 - as its author wrote it
        await ctx.step.run("step", _note(ctx.run_id, "step"))
    except BaseException:  # inngest: allow W014
        pass
    return "swallowed"


@pytest.mark.parametrize("function", [*FUNCTIONS.values(), swallowed_async], ids=lambda f: f.id)
def test_the_run_fails_with_a_remedy(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    if CHECKPOINTED and function is not FUNCTIONS["base-exception"]:
        # The step did not unwind: there was nothing to swallow.
        assert (run.status, run.output) == ("completed", "swallowed")
        assert ledger.count(run.id, "step") == 1
        return
    assert run.status == "failed"
    assert run.error["code"] == "interrupt_swallowed"
    assert function.id in run.error["message"]
    assert '"step"' in run.error["message"]
    assert "let BaseException pass" in run.error["message"]
    assert ledger.count(run.id, "step") <= 1


def test_a_step_in_finally_is_not_run_early(live: Live) -> None:
    run = live.run(step_in_finally)

    # Whether this is refused or works, no body runs twice and none before its time.
    assert ledger.order(run.id) in (["step"], ["step", "cleanup"])
    if run.status == "failed":
        assert run.error["code"] == "interrupt_swallowed"


@client.create_function(
    fn_id="task-group",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("task-group")),
)
async def task_group(ctx: inngest.Context) -> Any:
    async with asyncio.TaskGroup() as group:
        one = group.create_task(ctx.step.run("one", _note(ctx.run_id, "one")))
        two = group.create_task(ctx.step.run("two", _note(ctx.run_id, "two")))
    return [one.result(), two.result(), await ctx.step.run("three", lambda: 3)]


@client.create_function(
    fn_id="gathered",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("gathered")),
)
async def gathered(ctx: inngest.Context) -> Any:
    return await asyncio.gather(
        ctx.step.run("one", _note(ctx.run_id, "one")),
        ctx.step.run("two", _note(ctx.run_id, "two")),
    )


def test_a_task_group_works(live: Live) -> None:
    run = live.run(task_group)

    assert run.status == "completed", run.error
    assert run.output == [None, None, 3]
    assert sorted(ledger.order(run.id)) == ["one", "two"]


def test_gather_works(live: Live) -> None:
    run = live.run(gathered)

    assert run.status == "completed", run.error
    assert run.output == [None, None]
    assert sorted(ledger.order(run.id)) == ["one", "two"]
