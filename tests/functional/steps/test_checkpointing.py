"""Checkpointing, which a function asks for: its steps run on in one entry, each recorded."""

from __future__ import annotations

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


def _body(run_id: str, n: int, attempt: int) -> int:
    ledger.note(run_id, f"step {n}", attempt)
    if n == 3 and attempt == 0:
        raise ValueError("once")
    return n


@client.create_function(
    fn_id="checkpointed",
    checkpointing=True,
    trigger=inngest.TriggerEvent(event=event_name("checkpointed")),
)
def checkpointed(ctx: inngest.ContextSync) -> object:
    ledger.note(ctx.run_id, "entered")
    found = [ctx.step.run(f"step-{n}", _body, ctx.run_id, n, ctx.attempt) for n in range(3)]
    if ctx.event.data.get("sleep"):
        ctx.step.sleep("nap", 200)
    if ctx.event.data.get("fail"):
        found.append(ctx.step.run("step-3", _body, ctx.run_id, 3, ctx.attempt))
    found.append(ctx.step.run("last", _body, ctx.run_id, 9, ctx.attempt))
    return found


@client.create_function(
    fn_id="checkpointed-async",
    checkpointing=True,
    trigger=inngest.TriggerEvent(event=event_name("checkpointed-async")),
)
async def checkpointed_async(ctx: inngest.Context) -> object:
    ledger.note(ctx.run_id, "entered")
    found = [await ctx.step.run(f"step-{n}", _body, ctx.run_id, n, ctx.attempt) for n in range(3)]
    if ctx.event.data.get("sleep"):
        await ctx.step.sleep("nap", 200)
    if ctx.event.data.get("fail"):
        found.append(await ctx.step.run("step-3", _body, ctx.run_id, 3, ctx.attempt))
    found.append(await ctx.step.run("last", _body, ctx.run_id, 9, ctx.attempt))
    return found


def _once(run_id: str, *numbers: int) -> bool:
    return all(ledger.count(run_id, f"step {n}") == 1 for n in numbers)


@both(checkpointed, checkpointed_async)
def test_one_entry_for_all_steps(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed", run.error
    assert run.output == [0, 1, 2, 9]
    assert ledger.count(run.id, "entered") == 1
    assert _once(run.id, 0, 1, 2, 9)
    assert [(s.name, s.status) for s in run.steps.order_by("id")] == [
        ("step-0", "completed"),
        ("step-1", "completed"),
        ("step-2", "completed"),
        ("last", "completed"),
    ]


@both(checkpointed, checkpointed_async)
def test_a_sleep_ends_the_entry(live: Live, function: inngest.Function) -> None:
    run = live.run(function, {"sleep": True})

    assert run.status == "completed", run.error
    assert run.output == [0, 1, 2, 9]
    assert ledger.count(run.id, "entered") == 2
    assert _once(run.id, 0, 1, 2, 9)


@both(checkpointed, checkpointed_async)
def test_a_failed_step_is_tried_again_alone(live: Live, function: inngest.Function) -> None:
    run = live.run(function, {"fail": True})

    assert run.status == "completed", run.error
    assert run.output == [0, 1, 2, 3, 9]
    assert _once(run.id, 0, 1, 2, 9)
    assert [note.value for note in ledger.notes(run.id, "step 3")] == [0, 1]
