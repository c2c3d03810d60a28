"""A body can read a key that stays the same when it is tried again, and is its step's alone."""

from __future__ import annotations

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


@client.create_function(
    fn_id="idempotency-key",
    retries=2,
    trigger=inngest.TriggerEvent(event=event_name("idempotency-key")),
)
def keyed(ctx: inngest.ContextSync) -> None:
    def body(name: str) -> None:
        ledger.note(ctx.run_id, name, ctx.step.idempotency_key)
        if ctx.attempt < 2:
            raise RuntimeError("again")

    ctx.step.run("first", body, "first")
    ctx.step.run("second", body, "second")


@client.create_function(
    fn_id="idempotency-key-async",
    retries=2,
    trigger=inngest.TriggerEvent(event=event_name("idempotency-key-async")),
)
async def keyed_async(ctx: inngest.Context) -> None:
    async def body(name: str) -> None:
        ledger.note(ctx.run_id, name, ctx.step.idempotency_key)
        if ctx.attempt < 2:
            raise RuntimeError("again")

    await ctx.step.run("first", body, "first")
    await ctx.step.run("second", body, "second")


@both(keyed, keyed_async)
def test_the_key_is_stable_over_retries(live: Live, function: inngest.Function) -> None:
    runs = [live.start(function), live.start(function)]
    keys = []
    for run in runs:
        assert live.ended(run).status == "completed", run.error
        for name in ("first", "second"):
            tries = [note.value for note in ledger.notes(run.id, name)]
            assert len(tries) == 3
            assert len(set(tries)) == 1
            keys.append(tries[0])

    assert len(set(keys)) == 4
    assert all(keys)


@client.create_function(
    fn_id="idempotency-key-outside",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("idempotency-key-outside")),
)
def outside(ctx: inngest.ContextSync) -> str:
    return ctx.step.idempotency_key


def test_outside_a_body_there_is_none(live: Live) -> None:
    run = live.run(outside)

    assert run.status == "failed"
    assert run.error["code"] == "outside_step"
