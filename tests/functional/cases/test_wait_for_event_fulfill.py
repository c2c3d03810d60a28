"""``step.wait_for_event`` resolves with the first event that matches."""

from __future__ import annotations

import inngest_django as inngest
from tests.functional.support import Live, client, event_name, unique
from tests.functional.variants import both

FULFILL = "functional/wait-fulfill.fulfilled"


def _shown(event: inngest.Event | None) -> object:
    assert event is None or type(event) is inngest.Event
    return None if event is None else [event.id, event.name, event.ts, event.data]


@client.create_function(
    fn_id="wait-fulfill",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("wait-fulfill")),
)
def wait_fulfill(ctx: inngest.ContextSync) -> object:
    return _shown(
        ctx.step.wait_for_event(
            "wait", event=FULFILL, if_exp="event.data.id == async.data.id", timeout=60_000
        )
    )


@client.create_function(
    fn_id="wait-fulfill-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("wait-fulfill-async")),
)
async def wait_fulfill_async(ctx: inngest.Context) -> object:
    return _shown(
        await ctx.step.wait_for_event(
            "wait", event=FULFILL, if_exp="event.data.id == async.data.id", timeout=60_000
        )
    )


@both(wait_fulfill, wait_fulfill_async)
def test_a_matching_event_resolves_the_wait(live: Live, function: inngest.Function) -> None:
    own = unique()
    run = live.start(function, {"id": own})
    live.step(run, "wait", status="waiting")
    live.send(FULFILL, {"id": "another"})
    event_id = live.send(FULFILL, {"id": own, "answer": 42})
    run = live.ended(run)

    assert run.status == "completed"
    assert run.output[:2] == [event_id, FULFILL]
    assert run.output[2] > 0
    assert run.output[3] == {"id": own, "answer": 42}
    step = run.steps.get()
    assert (step.op, step.status) == ("WaitForEvent", "completed")
    assert step.output["id"] == event_id
