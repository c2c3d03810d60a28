"""Crashes, lost workers and repeated messages, on request."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.auth.models import Group

from inngest_django import ContextSync, Event, Inngest, TriggerEvent
from inngest_django.functions.function import Function
from inngest_django.models import Attempt
from inngest_django.testing import Durable, assert_survives_crashes

GO = TriggerEvent(event="kit/go")
calls: list[str] = []


@pytest.fixture(autouse=True)
def no_calls() -> None:
    calls.clear()


@pytest.fixture
def pay(client: Inngest) -> Function:
    @client.create_function(fn_id="pay", trigger=GO, retries=1)
    def pay(ctx: ContextSync) -> str:
        def charge() -> str:
            calls.append("charge")
            return "charged"

        def book() -> int:
            calls.append("book")
            Group.objects.create(name=f"booking {len(calls)}")
            return 1

        first = ctx.step.run("charge", charge)
        ctx.step.transaction("book", book)
        ctx.step.sleep("nap", "1h")
        ctx.step.run("mail", lambda: calls.append("mail"))
        return first

    return pay


@pytest.mark.parametrize(
    ("point", "charges"), [("before_body", 1), ("after_body", 2), ("after_commit", 1)]
)
def test_a_crash_at_a_step_costs_at_most_its_body_again(
    durable: Durable, pay: Function, point: str, charges: int
) -> None:
    began = durable.now
    durable.crash_at(step="charge", point=point)

    run = durable.run(pay)

    assert durable.crashes == 1
    run.finish().assert_completed(output="charged")
    assert calls.count("charge") == charges
    assert calls.count("mail") == 1
    assert Group.objects.count() == 1
    if point != "after_commit":
        assert durable.now - began >= dt.timedelta(hours=1, seconds=20)


def test_a_transaction_is_written_once_whatever_crashes(durable: Durable, pay: Function) -> None:
    durable.crash_at(step="book", point="after_body")
    durable.crash_at(step="book", point="after_commit")

    durable.run(pay).finish().assert_completed()

    assert durable.crashes == 2
    assert calls.count("book") == 2
    assert Group.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("point", ["before_body", "after_body", "after_commit"])
def test_crashes_with_real_commits(durable: Durable, pay: Function, point: str) -> None:
    for step in ("charge", "book", "nap", "mail"):
        if (step, point) != ("nap", "before_body"):
            durable.crash_at(step=step, point=point)

    durable.run(pay).finish().assert_completed(output="charged")

    assert durable.faults.unreached == []
    assert Group.objects.count() == 1


def test_a_lost_worker_is_replaced_after_its_lease(durable: Durable, pay: Function) -> None:
    began = durable.now
    durable.lose_worker()

    run = durable.run(pay)

    assert durable.now - began == dt.timedelta(seconds=20)
    assert [a.error["code"] for a in Attempt.objects.filter(run_id=run.id)] == ["worker_lost"]
    run.finish().assert_completed()


def test_repeated_messages_change_nothing(durable: Durable, pay: Function) -> None:
    durable.duplicate_messages(3)

    run = durable.run(pay).finish()

    run.assert_completed()
    assert calls == ["charge", "book", "mail"]
    assert len(durable.runs()) == 1


def test_a_crash_that_never_came_is_an_error(db: None, pay: Function) -> None:
    kit = Durable().__enter__()
    kit.crash_at(step="chrage")
    kit.run(pay)

    with pytest.raises(AssertionError, match=r"never came.*after_commit of step chrage"):
        kit.__exit__(None, None, None)


def test_unknown_points_are_refused(durable: Durable, pay: Function) -> None:
    with pytest.raises(ValueError, match=r"no point is called 'after_lunch'.*after_commit"):
        durable.crash_at(point="after_lunch")
    with pytest.raises(ValueError, match="no points are called"):
        durable.assert_survives_crashes(pay, points=["after_lunch"])


def test_a_function_survives_a_crash_at_every_point(durable: Durable, pay: Function) -> None:
    report = assert_survives_crashes(durable, pay, ledger=Group.objects.count)

    assert report.crashes > 40
    assert report.not_compared == ()
    for point in (
        "before_body",
        "execute.start",
        "lease.taken",
        "call.end",
        "outcome.written",
        "transaction.body_done",
        "timer.written",
        "route.start_written",
        "hints.before_publish",
        "tick.start",
    ):
        assert report.points[point] > 0
    assert Group.objects.count() == 0
    assert durable.runs() == []


def test_a_body_that_is_not_repeatable_is_found(durable: Durable, client: Inngest) -> None:
    @client.create_function(fn_id="careless", trigger=GO)
    def careless(ctx: ContextSync) -> None:
        ctx.step.run("add", lambda: Group.objects.create(name=f"g{Group.objects.count()}").name)

    with pytest.raises(AssertionError, match=r"after a crash at call\.end.*(?s:.*)ledger"):
        durable.assert_survives_crashes(careless, ledger=Group.objects.count)


def test_a_run_that_a_crash_strands_names_the_crash(durable: Durable, client: Inngest) -> None:
    tries: list[int] = []

    @client.create_function(fn_id="stranded", trigger=GO, retries=0)
    def stranded(ctx: ContextSync) -> None:
        tries.append(1)
        if len(tries) > 2:
            # After two runs without a crash, this one takes another way.
            ctx.step.sleep("never met before", "1h")

    with pytest.raises(AssertionError, match="never met before"):
        durable.assert_survives_crashes(stranded, points=["lease.taken"])


def test_a_run_that_passes_a_point_no_more_is_an_error(durable: Durable, client: Inngest) -> None:
    runs: list[str] = []

    @client.create_function(fn_id="shorter", trigger=GO)
    def shorter(ctx: ContextSync) -> None:
        if ctx.run_id not in runs:
            runs.append(ctx.run_id)
        if len(runs) < 3:
            ctx.step.run("only at first", lambda: None)

    with pytest.raises(AssertionError, match="takes another way") as failed:
        durable.assert_survives_crashes(shorter, points=["before_body"])

    assert failed.value.__notes__ == ["With a crash at before_body, passage 1."]


def test_waits_are_answered_while_workers_crash(durable: Durable, client: Inngest) -> None:
    @client.create_function(fn_id="patient", trigger=GO)
    def patient(ctx: ContextSync) -> object:
        ctx.step.send_event("tell", Event(name="kit/told"))
        found = ctx.step.wait_for_event("answer", event="kit/answer", timeout="1h")
        return found and found.data

    report = durable.assert_survives_crashes(
        patient, deliver=[Event(name="kit/answer", data={"n": 1})]
    )

    assert report.not_compared == ("output of step answer", "output of step tell")


def test_an_async_function_survives(durable: Durable, client: Inngest) -> None:
    from inngest_django import Context

    @client.create_function(fn_id="async", trigger=GO, checkpointing=True)
    async def concurrent(ctx: Context) -> object:
        first = await ctx.step.run("a", lambda: 1)
        return first + await ctx.step.run("b", lambda: 2)

    report = durable.assert_survives_crashes(concurrent)

    assert report.points["checkpoint.committed"] == 2
