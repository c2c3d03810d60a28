"""Several waits of one run at the same time, resolved by one event or by several."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name, unique
from tests.functional.variants import both

NAME = "functional/several-waits.go"


def _shown(found: Any) -> list[Any]:
    return [event and event.data["n"] for event in found]


@client.create_function(
    fn_id="several-waits",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("several-waits")),
)
def waiting(ctx: inngest.ContextSync) -> object:
    ledger.note(ctx.run_id, "entered")
    own = "event.data.own == async.data.own"
    return _shown(
        ctx.group.parallel(
            (
                lambda: ctx.step.wait_for_event("any", event=NAME, if_exp=own, timeout="1h"),
                lambda: ctx.step.wait_for_event(
                    "two", event=NAME, if_exp=f"{own} && async.data.n == 2", timeout="1h"
                ),
                lambda: ctx.step.wait_for_event(
                    "never", event=NAME, if_exp=f"{own} && async.data.n == 3", timeout="1s"
                ),
            )
        )
    )


@client.create_function(
    fn_id="several-waits-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("several-waits-async")),
)
async def waiting_async(ctx: inngest.Context) -> object:
    ledger.note(ctx.run_id, "entered")
    own = "event.data.own == async.data.own"
    return _shown(
        await ctx.group.parallel(
            (
                lambda: ctx.step.wait_for_event("any", event=NAME, if_exp=own, timeout="1h"),
                lambda: ctx.step.wait_for_event(
                    "two", event=NAME, if_exp=f"{own} && async.data.n == 2", timeout="1h"
                ),
                lambda: ctx.step.wait_for_event(
                    "never", event=NAME, if_exp=f"{own} && async.data.n == 3", timeout="1s"
                ),
            )
        )
    )


@both(waiting, waiting_async)
def test_each_takes_its_own_first_match(live: Live, function: inngest.Function) -> None:
    own = unique()
    run = live.start(function, {"own": own})
    live.step(run, "never", status="waiting")
    client.send_sync([inngest.Event(name=NAME, data={"own": own, "n": n}) for n in (1, 2)])
    run = live.ended(run)

    assert run.output == [1, 2, None]
    assert ledger.count(run.id, "entered") == 2


@both(waiting, waiting_async)
def test_one_event_resolves_two(live: Live, function: inngest.Function) -> None:
    own = unique()
    run = live.start(function, {"own": own})
    live.step(run, "never", status="waiting")
    live.send(NAME, {"own": own, "n": 2})

    assert live.ended(run).output == [2, 2, None]
