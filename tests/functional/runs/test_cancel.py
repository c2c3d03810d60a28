"""Cancelling a run: it ends at once, what it waits for goes, children and bodies go on."""

from __future__ import annotations

import time
from typing import Any

import inngest_django as inngest
from inngest_django.engine import cancellation
from inngest_django.models import Event, Run
from tests import ledger
from tests.functional.support import Live, client, event_name, unique
from tests.functional.variants import both


def on_failure(ctx: inngest.ContextSync) -> None:
    ledger.note(str(ctx.event.data["run_id"]), "on_failure")


@client.create_function(
    fn_id="cancel-sleeping",
    on_failure=on_failure,
    trigger=inngest.TriggerEvent(event=event_name("cancel-sleeping")),
)
def sleeping(ctx: inngest.ContextSync) -> None:
    ctx.step.run("before", lambda: None)
    ctx.step.sleep("long", "30d")
    ledger.note(ctx.run_id, "after")


@client.create_function(
    fn_id="cancel-parent", trigger=inngest.TriggerEvent(event=event_name("cancel-parent"))
)
def parent(ctx: inngest.ContextSync) -> None:
    ctx.step.invoke("child", function=child)


@client.create_function(fn_id="cancel-child", trigger=[])
def child(ctx: inngest.ContextSync) -> str:
    ctx.step.wait_for_event("go", event="functional/cancel-child.go", timeout="1h")
    return "child ended"


def _blocking(run_id: str) -> str:
    ledger.note(run_id, "body begins")
    deadline = time.monotonic() + 10
    while not ledger.count(run_id, "cancelled by the test"):
        if time.monotonic() > deadline:
            raise AssertionError("the test did not go on")
        time.sleep(0.02)
    ledger.note(run_id, "body ends")
    return "result"


@client.create_function(
    fn_id="cancel-body",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("cancel-body")),
)
def busy(ctx: inngest.ContextSync) -> None:
    ctx.step.run("busy", _blocking, ctx.run_id)
    ledger.note(ctx.run_id, "after")


@client.create_function(
    fn_id="cancel-body-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("cancel-body-async")),
)
async def busy_async(ctx: inngest.Context) -> None:
    await ctx.step.run("busy", _blocking, ctx.run_id)
    ledger.note(ctx.run_id, "after")


def test_a_sleeping_run_ends_at_once(live: Live) -> None:
    run = live.start(sleeping)
    live.step(run, "long", status="waiting")

    assert cancellation.cancel(run.id, reason="no longer wanted")
    run.refresh_from_db()
    assert (run.status, run.reason) == ("cancelled", "no longer wanted")
    assert run.ended_at is not None
    assert run.output is run.error is None
    assert run.steps.get(name="before").status == "completed"
    assert run.steps.get(name="long").status == "cancelled"
    assert not run.jobs.exists()


def test_it_is_announced_and_is_no_failure(live: Live) -> None:
    run = live.start(sleeping)
    live.step(run, "long", status="waiting")
    cancellation.cancel(run.id)

    announced = Event.objects.filter(data__contains=f'"run_id":"{run.id}"')
    assert sorted(announced.values_list("name", flat=True)) == [
        "inngest/function.cancelled",
        "inngest/function.finished",
    ]
    data = announced.get(name="inngest/function.cancelled").data
    assert data["_inngest"] == {"status": "Cancelled"}
    assert not {"error", "result"} & set(data)
    # Routed, and yet no failure handler ran.
    live.wait_until(lambda: not announced.filter(routed_at=None).exists())
    assert ledger.count(run.id, "on_failure") == 0


def test_an_ended_run_cannot_be_cancelled(live: Live) -> None:
    run = live.start(sleeping)
    live.step(run, "long", status="waiting")

    assert cancellation.cancel(run.id) is True
    assert cancellation.cancel(run.id) is False
    assert cancellation.cancel("01ARZ3NDEKTSV4RRFFQ69G5FAV") is False


@both(busy, busy_async)
def test_the_result_of_a_running_body_is_refused(live: Live, function: Any) -> None:
    run = live.start(function)
    live.wait_until(lambda: ledger.count(run.id, "body begins"), what="begin of the body")
    assert cancellation.cancel(run.id)
    ledger.note(run.id, "cancelled by the test")
    live.wait_until(lambda: ledger.count(run.id, "body ends"), what="end of the body")
    # Another run goes all the way meanwhile, so that a wrong outcome would be there by then.
    other = live.start(function)
    ledger.note(other.id, "cancelled by the test")
    live.ended(other)

    run.refresh_from_db()
    assert run.status == "cancelled"
    assert not run.steps.filter(status="completed").exists()
    assert ledger.order(run.id) == ["body begins", "cancelled by the test", "body ends"]


def test_an_invoked_run_goes_on(live: Live) -> None:
    run = live.start(parent)
    invoked = live.wait_until(lambda: Run.objects.filter(parent__run=run).first(), what="the child")
    live.step(invoked, "go", status="waiting")
    cancellation.cancel(run.id)
    live.send("functional/cancel-child.go")

    assert live.ended(invoked).output == "child ended"
    run.refresh_from_db()
    assert run.status == "cancelled"


RULE_EVENT = "functional/cancel-rule.stop"


@client.create_function(
    fn_id="cancel-rule",
    cancel=[
        inngest.Cancel(event=RULE_EVENT, if_exp="event.data.own == async.data.own"),
    ],
    trigger=inngest.TriggerEvent(event=event_name("cancel-rule")),
)
def with_rule(ctx: inngest.ContextSync) -> None:
    ctx.step.sleep("long", "1h")


def test_an_event_cancels_by_rule(live: Live) -> None:
    own, other = unique(), unique()
    live.send(RULE_EVENT, {"own": own})
    run = live.start(with_rule, {"own": own})
    spared = live.start(with_rule, {"own": other})
    live.step(run, "long", status="waiting")
    live.step(spared, "long", status="waiting")
    live.send(RULE_EVENT, {"own": own})

    run = live.ended(run)
    assert run.status == "cancelled"
    assert RULE_EVENT in run.reason
    spared.refresh_from_db()
    assert spared.status == "running"
    cancellation.cancel(spared.id)
