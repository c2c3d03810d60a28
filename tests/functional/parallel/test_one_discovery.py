"""After a group: one entry when all branches ended, or one after each in ``RACE`` mode."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both

EVENT = "functional/one-discovery.go"


@client.create_function(
    fn_id="one-discovery",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("one-discovery")),
)
def waiting(ctx: inngest.ContextSync) -> object:
    ledger.note(ctx.run_id, "entered")
    mode = inngest.ParallelMode(ctx.event.data["mode"])
    found: Any = ctx.group.parallel(
        tuple(
            lambda n=n: ctx.step.wait_for_event(
                f"wait-{n}",
                event=EVENT,
                timeout="1h",
                if_exp=f"event.data.own == async.data.own && async.data.n == {n}",
            )
            for n in range(3)
        ),
        parallel_mode=mode,
    )
    return [event.data["n"] for event in found]


@client.create_function(
    fn_id="one-discovery-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("one-discovery-async")),
)
async def waiting_async(ctx: inngest.Context) -> object:
    ledger.note(ctx.run_id, "entered")
    mode = inngest.ParallelMode(ctx.event.data["mode"])
    found: Any = await ctx.group.parallel(
        tuple(
            lambda n=n: ctx.step.wait_for_event(
                f"wait-{n}",
                event=EVENT,
                timeout="1h",
                if_exp=f"event.data.own == async.data.own && async.data.n == {n}",
            )
            for n in range(3)
        ),
        parallel_mode=mode,
    )
    return [event.data["n"] for event in found]


def _resolve_one_by_one(live: Live, function: inngest.Function, mode: str) -> Any:
    run = live.start(function, {"mode": mode, "own": (own := _own())})
    live.step(run, "wait-2", status="waiting")
    for n in (2, 0, 1):
        live.send(EVENT, {"own": own, "n": n})
        live.step(run, f"wait-{n}", status="completed")
        if n == 1:
            break
        if mode == "race":
            # Let the entry that follows it end before the next one settles.
            live.wait_until(lambda: not run.jobs.filter(kind="enter").exists())
    return live.ended(run)


def _own() -> str:
    from tests.functional.support import unique

    return unique()


@both(waiting, waiting_async)
def test_by_default_one_entry_follows_the_last_branch(
    live: Live, function: inngest.Function
) -> None:
    run = _resolve_one_by_one(live, function, "wait")

    assert run.output == [0, 1, 2]
    assert ledger.count(run.id, "entered") == 2


@both(waiting, waiting_async)
def test_in_race_mode_one_follows_each_branch(live: Live, function: inngest.Function) -> None:
    run = _resolve_one_by_one(live, function, "race")

    assert run.output == [0, 1, 2]
    assert ledger.count(run.id, "entered") == 4
