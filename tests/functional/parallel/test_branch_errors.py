"""A failed branch raises out of ``parallel``; caught inside the branch it does not."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


def _boom() -> str:
    raise ValueError("boom")


@client.create_function(
    fn_id="branch-errors",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("branch-errors")),
)
def branches(ctx: inngest.ContextSync) -> Any:
    def fine() -> str:
        return ctx.step.run("fine", _note(ctx.run_id, "fine"))

    def failing() -> str:
        if not ctx.event.data.get("catch"):
            return ctx.step.run("failing", _boom)
        try:
            return ctx.step.run("failing", _boom)
        except inngest.StepError as error:
            return f"inside: {error.message}"

    try:
        return ctx.group.parallel((failing, fine))
    except inngest.StepError as error:
        message = error.message
        return ctx.step.run("after", lambda: f"outside: {message}")


@client.create_function(
    fn_id="branch-errors-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("branch-errors-async")),
)
async def branches_async(ctx: inngest.Context) -> Any:
    async def fine() -> str:
        return await ctx.step.run("fine", _note(ctx.run_id, "fine"))

    async def failing() -> str:
        if not ctx.event.data.get("catch"):
            return await ctx.step.run("failing", _boom)
        try:
            return await ctx.step.run("failing", _boom)
        except inngest.StepError as error:
            return f"inside: {error.message}"

    try:
        return await ctx.group.parallel((failing, fine))
    except inngest.StepError as error:
        message = error.message
        return await ctx.step.run("after", lambda: f"outside: {message}")


def _note(run_id: str, what: str) -> Any:
    def body() -> str:
        ledger.note(run_id, what)
        return what

    return body


@both(branches, branches_async)
def test_it_raises_out_of_the_group(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed", run.error
    assert run.output == "outside: boom"
    assert ledger.count(run.id, "fine") == 1


@both(branches, branches_async)
def test_caught_inside_a_branch_the_group_goes_on(live: Live, function: inngest.Function) -> None:
    run = live.run(function, {"catch": True})

    assert run.status == "completed", run.error
    assert run.output == ["inside: boom", "fine"]
