"""Limits of a run: the size of an output, and the number of steps."""

from __future__ import annotations

from typing import Any

import pytest

import inngest_django as inngest
from tests import ledger
from tests.functional.settings_of_worker import worker_with
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


@client.create_function(
    fn_id="large-output", trigger=inngest.TriggerEvent(event=event_name("large-output"))
)
def large(ctx: inngest.ContextSync) -> Any:
    def body() -> str:
        ledger.note(ctx.run_id, "body")
        return "x" * int(ctx.event.data["size"])  # type: ignore[call-overload]

    return len(ctx.step.run("large", body))


@client.create_function(
    fn_id="large-output-async",
    trigger=inngest.TriggerEvent(event=event_name("large-output-async")),
)
async def large_async(ctx: inngest.Context) -> Any:
    async def body() -> str:
        ledger.note(ctx.run_id, "body")
        return "x" * int(ctx.event.data["size"])  # type: ignore[call-overload]

    return len(await ctx.step.run("large", body))


@client.create_function(
    fn_id="many-steps", trigger=inngest.TriggerEvent(event=event_name("many-steps"))
)
def many(ctx: inngest.ContextSync) -> int:
    for n in range(int(ctx.event.data["count"])):  # type: ignore[call-overload]
        ctx.step.run(f"step-{n}", lambda: ledger.note(ctx.run_id, "body"))
    return 1


@both(large, large_async)
def test_an_output_over_four_megabytes(live: Live, function: inngest.Function) -> None:
    run = live.run(function, {"size": 4 * 1024 * 1024})

    assert run.status == "failed"
    assert "4194304" in run.error["message"]
    assert '"large"' in run.error["message"]
    assert ledger.count(run.id, "body") == 1


@both(large, large_async)
def test_an_output_just_below(live: Live, function: inngest.Function) -> None:
    size = 4 * 1024 * 1024 - 100
    run = live.run(function, {"size": size})

    assert run.output == size


@pytest.mark.sqlite  # The limit is the driver's; a worker restarted for it adds nothing.
def test_one_step_too_many(live: Live) -> None:
    with worker_with(live, MAX_STEPS=3):
        fits = live.run(many, {"count": 3})
        run = live.run(many, {"count": 4})

    assert fits.status == "completed", fits.error
    assert run.status == "failed"
    assert run.error["code"] == "limit_exceeded"
    assert "3" in run.error["message"]
    assert "MAX_STEPS" in run.error["message"]
    assert ledger.count(run.id, "body") == 3
