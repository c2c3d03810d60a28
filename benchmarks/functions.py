"""The durable functions that are measured. Each does as little as its shape allows."""

from __future__ import annotations

import datetime as dt
import functools
from typing import Any

from inngest_django import ContextSync, Inngest, TriggerEvent

client = Inngest(app_id="benchmarks")


def _steps(ctx: ContextSync) -> int:
    data: Any = ctx.event.data
    value = 0
    for number in range(data["steps"]):
        value = ctx.step.run(f"step-{number}", lambda value=value: value + 1)
    return value


# W1, W2 and W4: one task for each step, and checkpointed.
sequence = client.create_function(
    fn_id="sequence", trigger=TriggerEvent(event="benchmarks/sequence")
)(_steps)
checkpointed = client.create_function(
    fn_id="checkpointed",
    trigger=TriggerEvent(event="benchmarks/checkpointed"),
    checkpointing={"max_runtime": "60s", "max_steps": 1100},
)(_steps)


@client.create_function(fn_id="parallel", trigger=TriggerEvent(event="benchmarks/parallel"))
def parallel(ctx: ContextSync) -> int:
    """W3."""
    data: Any = ctx.event.data
    results = ctx.group.parallel(
        tuple(
            functools.partial(ctx.step.run, f"step-{number}", lambda: 1)
            for number in range(data["steps"])
        )
    )
    return sum(results)


WAIT_EVENT = "benchmarks/answer"
WAIT_CONDITION = "event.data.number == async.data.number"


@client.create_function(fn_id="waiting", trigger=TriggerEvent(event="benchmarks/waiting"))
def waiting(ctx: ContextSync) -> bool:
    """W5."""
    found = ctx.step.wait_for_event("wait", event=WAIT_EVENT, if_exp=WAIT_CONDITION, timeout="30d")
    return found is not None


@client.create_function(fn_id="sleeping", trigger=TriggerEvent(event="benchmarks/sleeping"))
def sleeping(ctx: ContextSync) -> None:
    """W6."""
    data: Any = ctx.event.data
    ctx.step.sleep_until("sleep", dt.datetime.fromtimestamp(data["until"], dt.UTC))


@client.create_function(fn_id="large", trigger=TriggerEvent(event="benchmarks/large"))
def large(ctx: ContextSync) -> int:
    """Results of 1 MiB each."""
    data: Any = ctx.event.data
    return sum(
        len(ctx.step.run(f"step-{number}", lambda: "x" * 2**20)) for number in range(data["steps"])
    )
