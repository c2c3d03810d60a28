"""N steps in sequence take N + 1 entries, checkpointed one; code outside steps runs in each."""

from __future__ import annotations

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import CHECKPOINTED, both

STEPS = 5


@client.create_function(
    fn_id="entries", retries=0, trigger=inngest.TriggerEvent(event=event_name("entries"))
)
def entries(ctx: inngest.ContextSync) -> int:
    ledger.note(ctx.run_id, "entered", ctx.attempt)
    total = 0
    for n in range(STEPS):
        total += ctx.step.run(f"step-{n}", lambda n=n: n)
    ledger.note(ctx.run_id, "end")
    return total


@client.create_function(
    fn_id="entries-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("entries-async")),
)
async def entries_async(ctx: inngest.Context) -> int:
    ledger.note(ctx.run_id, "entered", ctx.attempt)
    total = 0
    for n in range(STEPS):
        total += await ctx.step.run(f"step-{n}", lambda n=n: n)
    ledger.note(ctx.run_id, "end")
    return total


@both(entries, entries_async)
def test_each_entry_runs_one_new_step(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.output == sum(range(STEPS))
    entered = [note.value for note in ledger.notes(run.id, "entered")]
    assert entered == [0] * (1 if CHECKPOINTED else STEPS + 1)
    assert ledger.count(run.id, "end") == 1
