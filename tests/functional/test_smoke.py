"""One function with one of each: what must work on every database, broker and Django."""

from __future__ import annotations

import pytest

from inngest_django import Context, ContextSync, Event, TriggerEvent
from tests import ledger
from tests.functional.support import Live, client, event_name, unique

pytestmark = pytest.mark.smoke


@client.create_function(
    fn_id="smoke-double", trigger=TriggerEvent(event=event_name("smoke-double"))
)
async def double(ctx: Context) -> int:
    async def work() -> int:
        return int(ctx.event.data["number"]) * 2

    return await ctx.step.run("work", work)


@client.create_function(fn_id="smoke", trigger=TriggerEvent(event=event_name("smoke")))
def smoke(ctx: ContextSync) -> dict[str, object]:
    def flaky() -> str:
        ledger.note(ctx.run_id, "flaky")
        if ctx.attempt == 0:
            raise ConnectionError("not yet")
        return "at last"

    said = ctx.step.run("flaky", flaky)
    ctx.step.sleep("rest", "1s")
    sides = ctx.group.parallel(
        (lambda: ctx.step.run("left", lambda: "l"), lambda: ctx.step.run("right", lambda: "r"))
    )
    doubled = ctx.step.invoke("double", function=double, data={"number": 21})
    answer = ctx.step.wait_for_event(
        "answer",
        event="functional/smoke.answered",
        timeout="30s",
        if_exp="event.data.key == async.data.key",
    )
    ledger.note(ctx.run_id, "end")
    return {
        "said": said,
        "sides": sides,
        "doubled": doubled,
        "answer": answer and answer.data["text"],
    }


def test_run_with_one_of_each_ends_with_its_results(live: Live) -> None:
    key = unique("key")

    run = live.start(smoke, {"key": key})
    live.step(run, "answer", status="waiting", timeout=30)
    live.send("functional/smoke.answered", {"key": unique("other"), "text": "wrong"})
    live.send("functional/smoke.answered", {"key": key, "text": "right"})
    run = live.ended(run)

    assert run.status == "completed", run.error
    assert run.output == {
        "said": "at last",
        "sides": ["l", "r"],
        "doubled": 42,
        "answer": "right",
    }
    assert ledger.count(run.id, "flaky") == 2
    assert ledger.count(run.id, "end") == 1
    rest = run.steps.get(name="rest")
    assert rest.ended_at
    assert rest.started_at
    assert (rest.ended_at - rest.started_at).total_seconds() >= 1


def test_event_id_starts_a_function_once(live: Live) -> None:
    event_id = unique("order")
    event = Event(name=event_name("smoke-double"), data={"number": 1}, id=event_id)

    first, second = client.send_sync([event, event])
    run = live.ended(live.started(first))
    later = live.run(double, {"number": 2})

    assert run.status == later.status == "completed"
    assert len(live.runs(first)) + len(live.runs(second)) == 1
