"""Joins under load: every body once, one entry after the last branch, results in order."""

from __future__ import annotations

from typing import Any

import pytest

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import CHECKPOINTED, both

pytestmark = [pytest.mark.smoke]


def _body(run_id: str, n: int) -> int:
    ledger.note(run_id, f"step {n}")
    return n


@client.create_function(
    fn_id="join-once", retries=0, trigger=inngest.TriggerEvent(event=event_name("join-once"))
)
def join(ctx: inngest.ContextSync) -> Any:
    ledger.note(ctx.run_id, "entered")
    width: Any = ctx.event.data["width"]
    found = ctx.group.parallel(
        tuple(lambda n=n: ctx.step.run(f"step-{n}", _body, ctx.run_id, n) for n in range(width))
    )
    return ctx.step.run("sum", sum, found)


@client.create_function(
    fn_id="join-once-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("join-once-async")),
)
async def join_async(ctx: inngest.Context) -> Any:
    ledger.note(ctx.run_id, "entered")
    width: Any = ctx.event.data["width"]
    found = await ctx.group.parallel(
        tuple(lambda n=n: ctx.step.run(f"step-{n}", _body, ctx.run_id, n) for n in range(width))
    )
    return await ctx.step.run("sum", sum, found)


def _check(run: Any, width: int) -> None:
    assert run.status == "completed", run.error
    assert run.output == sum(range(width))
    assert [ledger.count(run.id, f"step {n}") for n in range(width)] == [1] * width
    # One plans, one for each step, one runs the sum, one returns: checkpointed, the same one.
    assert ledger.count(run.id, "entered") == width + (2 if CHECKPOINTED else 3)


@both(join, join_async)
def test_many_runs_at_once(live: Live, function: inngest.Function) -> None:
    runs = [live.start(function, {"width": 4}) for _ in range(10)]

    for run in runs:
        _check(live.ended(run, timeout=40), 4)


def test_one_wide_group(live: Live) -> None:
    _check(live.run(join, {"width": 40}, timeout=40), 40)
