"""Steps alone, steps with chosen results, steps that are made to fail."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import Group

from inngest_django import Context, ContextSync, Event, Inngest, StepError, TriggerEvent
from inngest_django.functions.function import Function
from inngest_django.testing import TIMEOUT, Durable, MadeToFailError, UnstubbedStepError

GO = TriggerEvent(event="kit/go")


class CardDeclinedError(Exception):
    """What a body raises."""


@pytest.fixture
def order(client: Inngest) -> Function:
    """A function with a step of each kind; ``calls`` are the bodies that ran."""

    @client.create_function(fn_id="ship", trigger=[])
    def ship(ctx: ContextSync) -> str:
        return ctx.step.run("pack", lambda: "parcel")

    @client.create_function(fn_id="order", trigger=GO, retries=2)
    def order(ctx: ContextSync) -> dict[str, Any]:
        def charge(amount: int) -> dict[str, Any]:
            if amount > 100:
                raise CardDeclinedError("too much")
            return {"id": f"ch-{amount}", "attempt": ctx.attempt}

        charged = ctx.step.run("charge", charge, ctx.event.data.get("amount", 5))
        ctx.step.sleep("cool-off", "1d")
        paid = ctx.step.wait_for_event("payment", event="kit/paid", timeout="2d")
        if paid is None:
            return {"charged": charged, "paid": None}
        parcel = ctx.step.invoke("ship", function=ship)
        return {"charged": charged, "paid": paid.data, "parcel": parcel}

    return order


def test_run_with_every_step_chosen_takes_no_time(durable: Durable, order: Function) -> None:
    began = durable.now

    run = durable.run(
        order,
        steps={
            "charge": {"id": "chosen"},
            "cool-off": None,
            "payment": Event(name="kit/paid", data={"amount": 3}),
            "ship": "a box",
        },
    )

    run.assert_completed(
        output={"charged": {"id": "chosen"}, "paid": {"amount": 3}, "parcel": "a box"}
    )
    assert durable.now == began
    assert run.children == []


def test_waits_and_invokes_can_time_out(durable: Durable, order: Function) -> None:
    run = durable.run(order, steps={"cool-off": None, "payment": TIMEOUT})
    run.assert_completed(output={"charged": {"id": "ch-5", "attempt": 0}, "paid": None})

    late = durable.run(
        order,
        steps={"cool-off": None, "payment": Event(name="kit/paid"), "ship": TIMEOUT},
    )

    late.assert_step("ship", error="InngestInvokeTimeoutError", attempts=1)
    late.finish().assert_failed(name="InngestInvokeTimeoutError")


def test_timeout_for_a_body_is_refused(durable: Durable, order: Function) -> None:
    with pytest.raises(Exception, match='"charge" cannot time out'):
        durable.run(order, steps={"charge": TIMEOUT})


def test_a_step_made_to_fail_is_tried_again(durable: Durable, order: Function) -> None:
    run = durable.run(order, fail={"charge": 2}, steps={"cool-off": None, "payment": TIMEOUT})
    assert run.is_live

    run.finish()

    run.assert_step("charge", attempts=3, output={"id": "ch-5", "attempt": 2})
    run.assert_completed()
    assert MadeToFailError.__name__ in run.timeline


def test_a_step_made_to_fail_for_good_fails_the_run(durable: Durable, order: Function) -> None:
    run = durable.run(order, fail={"charge": [CardDeclinedError("no")] * 3})

    run.finish()

    run.assert_failed(name="CardDeclinedError", message="no")


def test_a_callable_takes_the_place_of_the_body(durable: Durable, order: Function) -> None:
    run = durable.run(
        order,
        {"amount": 500},
        steps={"charge": lambda amount: amount * 2, "cool-off": None, "payment": TIMEOUT},
    )

    run.assert_completed(output={"charged": 1000, "paid": None})


def test_an_exception_as_result_is_raised(durable: Durable, order: Function) -> None:
    run = durable.run(order, steps={"charge": CardDeclinedError("chosen")}).finish()

    run.assert_step("charge", error="CardDeclinedError", attempts=3)


def test_one_body_alone_returns_and_raises(durable: Durable, order: Function) -> None:
    assert durable.step(order, "charge", {"amount": 7}) == {"id": "ch-7", "attempt": 0}
    assert durable.step(order, "charge", {"amount": 7}, attempt=4)["attempt"] == 4

    with pytest.raises(CardDeclinedError, match="too much"):
        durable.step(order, "charge", {"amount": 101})

    assert durable.runs() == []


def test_one_body_alone_needs_the_results_before_it(durable: Durable, client: Inngest) -> None:
    @client.create_function(fn_id="chain", trigger=GO)
    def chain(ctx: ContextSync) -> None:
        ctx.step.sleep("nap", "3d")
        try:
            first = ctx.step.run("first", lambda: 1)
        except StepError as error:
            first = len(error.name)
        found = ctx.step.wait_for_event("answer", event="kit/answer", timeout="1h")
        ctx.step.run("last", lambda: [first, found and found.data])
        ctx.step.sleep("end", "1d")

    with pytest.raises(UnstubbedStepError, match="step first is not stubbed"):
        durable.step(chain, "last")
    with pytest.raises(AssertionError, match=r'without calling step "missing".*first, answer'):
        durable.step(chain, "missing", steps={"first": 1, "answer": TIMEOUT, "last": 0})

    answer = Event(name="kit/answer", data={"x": 1})
    assert durable.step(chain, "last", steps={"first": 5, "answer": answer}) == [5, {"x": 1}]
    failed = {"first": ValueError("x"), "answer": TIMEOUT}
    assert durable.step(chain, "last", steps=failed) == [len("ValueError"), None]


def test_one_body_alone_in_loops_groups_and_transactions(durable: Durable, client: Inngest) -> None:
    @client.create_function(fn_id="shapes", trigger=GO)
    def shapes(ctx: ContextSync) -> None:
        for number in range(3):
            ctx.step.run("check", lambda n=number: f"check {n}")
        ctx.group.parallel(
            (
                lambda: ctx.step.run("left", lambda: "l"),
                lambda: ctx.step.run("right", lambda: ctx.step.idempotency_key[-40:]),
            )
        )
        ctx.step.transaction("write", lambda: Group.objects.create(name="g").name)

    before = {"check": 0, "left": 0, "right": 0}
    assert durable.step(shapes, "check:2", steps={"check": 0}) == "check 2"
    assert len(durable.step(shapes, "right", steps=before)) == 40
    assert durable.step(shapes, "write", steps=before) == "g"
    assert Group.objects.filter(name="g").exists()


def test_one_body_alone_of_an_async_function(durable: Durable, client: Inngest) -> None:
    @client.create_function(fn_id="async", trigger=GO)
    async def shapes(ctx: Context) -> None:
        async def body(number: int) -> int:
            return number + 1

        await ctx.step.run("first", body, 1)
        await ctx.step.run("plain", Group.objects.count)

    assert durable.step(shapes, "first") == 2
    assert durable.step(shapes, "plain", steps={"first": 0}) == 0


def test_failed_assertions_show_the_timeline(durable: Durable, order: Function) -> None:
    run = durable.run(order, {"amount": 500}, steps={"typo": 1})
    with pytest.raises(AssertionError) as waiting:
        run.assert_completed()
    run.finish()
    with pytest.raises(AssertionError) as failed:
        run.assert_step("chrage")

    assert "expected the run to be completed, it is running" in str(waiting.value)
    assert "try 1 failed: CardDeclinedError: too much" in str(waiting.value)
    assert "Step charge failed and is tried again in" in str(waiting.value)
    assert "no step is called 'chrage'; there are: charge" in str(failed.value)
    assert 'a result was chosen for step "typo", which was never called' in str(failed.value)
    for check in (
        run.assert_completed,
        lambda: run.assert_failed(name="ValueError"),
        lambda: run.assert_failed(message="else"),
        run.assert_cancelled,
        lambda: run.assert_waiting_for("kit/paid"),
        run.assert_sleeping,
        lambda: run.assert_steps([]),
        lambda: run.assert_step("charge"),
        lambda: run.assert_step("charge", error="Other"),
        lambda: run.assert_step("charge", error="CardDeclinedError", attempts=1),
        lambda: run.assert_not_reached("charge"),
    ):
        with pytest.raises(AssertionError, match=r"run .* of kit-order: failed"):
            check()
    run.assert_step("charge", error="CardDeclinedError", attempts=3)
    run.assert_not_reached("payment")


def test_advance_reads_words_and_refuses_nonsense(durable: Durable) -> None:
    began = durable.now

    for text in ("3 days", "1 hour and 30 minutes", "10s", 500, dt.timedelta(weeks=1), "2 mins"):
        durable.advance(text)

    assert durable.now - began == dt.timedelta(
        days=10, hours=1, minutes=32, seconds=10, milliseconds=500
    )
    with pytest.raises(ValueError, match="soon"):
        durable.advance("soon")
    with pytest.raises(ValueError, match="time zone"):
        durable.advance_to(dt.datetime(2030, 1, 1))  # noqa: DTZ001 - that is the point
