"""Running functions: events, time, retries, waits."""

from __future__ import annotations

import contextlib
import datetime as dt

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction

from inngest_django import ContextSync, Event, Inngest, StepError, TriggerEvent
from inngest_django.testing import Durable

GO = TriggerEvent(event="kit/go")


def test_run_completes_with_steps_and_output(durable: Durable, client: Inngest) -> None:
    @client.create_function(fn_id="two", trigger=GO)
    def two(ctx: ContextSync) -> list[object]:
        first = ctx.step.run("first", lambda: {"n": ctx.event.data["n"]})
        return [first, ctx.step.run("second", lambda: 2)]

    run = durable.run(two, {"n": 7})

    run.assert_completed(output=[{"n": 7}, 2])
    run.assert_steps(["first", "second"])
    run.assert_step("second", output=2, attempts=1)
    assert run.event.name == "kit/go"


def test_nothing_leaves_the_test_process(durable: Durable, client: Inngest) -> None:
    """No broker is asked, and the transaction of the test is still open at the end."""

    @client.create_function(fn_id="plain", trigger=GO)
    def plain(ctx: ContextSync) -> None:
        ctx.step.run("a", lambda: None)

    durable.run(plain).assert_completed(output=None)

    assert connection.in_atomic_block


def test_sleeps_and_retries_fire_in_order(durable: Durable, client: Inngest) -> None:
    seen: list[tuple[str, dt.timedelta]] = []

    @client.create_function(fn_id="sleeps", trigger=GO)
    def sleeps(ctx: ContextSync) -> None:
        ctx.step.sleep("nap", ctx.event.data["nap"])
        seen.append((ctx.event.data["nap"], durable.now - began))

    began = durable.now
    runs = [durable.run(sleeps, {"nap": nap}) for nap in ("3d", "1h", "2d")]
    durable.advance("2 days and 23 hours")

    assert seen == [("1h", dt.timedelta(hours=1)), ("2d", dt.timedelta(days=2))]
    runs[0].assert_sleeping("nap", until=began + dt.timedelta(days=3))
    durable.advance("1h")
    runs[0].assert_completed()


def test_retries_come_exactly_after_their_back_off(durable: Durable, client: Inngest) -> None:
    @client.create_function(fn_id="flaky", trigger=GO, retries=2)
    def flaky(ctx: ContextSync) -> int:
        def body() -> int:
            if ctx.attempt < 2:
                raise ConnectionError(f"try {ctx.attempt}")
            return ctx.attempt

        return ctx.step.run("call", body)

    run = durable.run(flaky)
    run.assert_step("call", status="planned", attempts=1)

    run.finish()

    run.assert_completed(output=2)
    run.assert_step("call", attempts=3)


def test_a_wait_is_answered_by_a_matching_event(durable: Durable, client: Inngest) -> None:
    @client.create_function(fn_id="waits", trigger=GO)
    def waits(ctx: ContextSync) -> object:
        found = ctx.step.wait_for_event(
            "answer", event="kit/answer", if_exp="event.data.id == async.data.id", timeout="1h"
        )
        return None if found is None else found.data["text"]

    run = durable.run(waits, {"id": 1})
    run.assert_waiting_for("kit/answer", step="answer")
    durable.deliver("kit/answer", {"id": 2, "text": "no"})
    run.assert_waiting_for("kit/answer")
    durable.deliver(Event(name="kit/answer", data={"id": 1, "text": "yes"}))

    run.assert_completed(output="yes")
    late = durable.run(waits, {"id": 1})
    durable.advance("1 hour")
    late.assert_completed(output=None)
    late.assert_step("answer", status="timed_out")


def test_a_look_back_goes_by_the_moved_clock(durable: Durable, client: Inngest) -> None:
    @client.create_function(fn_id="looks-back", trigger=GO)
    def looks_back(ctx: ContextSync) -> object:
        found = ctx.step.wait_for_event("answer", event="kit/answer", timeout="1h", lookback="30m")
        return None if found is None else found.data["n"]

    durable.advance("100 days")
    durable.deliver("kit/answer", {"n": 1})
    durable.advance("20 minutes")
    durable.run(looks_back).assert_completed(output=1)
    durable.advance("20 minutes")

    durable.run(looks_back).assert_waiting_for("kit/answer")


def test_run_starts_only_the_one_function(durable: Durable, client: Inngest) -> None:
    @client.create_function(fn_id="wanted", trigger=GO)
    def wanted(ctx: ContextSync) -> None: ...

    @client.create_function(fn_id="other", trigger=GO)
    def other(ctx: ContextSync) -> None: ...

    durable.register(other)
    durable.run(wanted)
    assert durable.runs(other) == []

    durable.deliver("kit/go")

    assert len(durable.runs(wanted)) == 2
    durable.only_run(other).assert_completed()


def test_a_function_without_triggers_starts_too(durable: Durable, client: Inngest) -> None:
    @client.create_function(fn_id="child", trigger=[])
    def child(ctx: ContextSync) -> object:
        return ctx.event.data["n"]

    durable.run(child, {"n": 3}).assert_completed(output=3)


def test_an_event_that_does_not_start_the_function_is_an_error(
    durable: Durable, client: Inngest
) -> None:
    @client.create_function(
        fn_id="picky", trigger=TriggerEvent(event="kit/go", expression="event.data.live == true")
    )
    def picky(ctx: ContextSync) -> None: ...

    with pytest.raises(AssertionError, match="did not start function 'kit-picky'"):
        durable.run(picky, {"live": False})

    durable.run(picky, {"live": True}).assert_completed()


def test_failure_handler_and_invoked_child_run(durable: Durable, client: Inngest) -> None:
    def clean_up(ctx: ContextSync) -> object:
        return ctx.event.data["error"]["message"]

    @client.create_function(fn_id="child", trigger=[], retries=0, on_failure=clean_up)
    def child(ctx: ContextSync) -> None:
        raise LookupError("nothing here")

    @client.create_function(fn_id="parent", trigger=GO, retries=0)
    def parent(ctx: ContextSync) -> object:
        return ctx.step.invoke("ask", function=child)

    durable.register(child)
    run = durable.run(parent)

    run.assert_failed(name="LookupError", message="nothing")
    [asked] = run.children
    asked.assert_failed(code="unknown")
    assert child.failure_function is not None
    durable.only_run(child.failure_function).assert_completed(output="nothing here")


def test_callbacks_on_commit_of_a_body_run_as_in_production(
    durable: Durable, client: Inngest
) -> None:
    calls: list[str] = []

    @client.create_function(fn_id="commits", trigger=GO)
    def commits(ctx: ContextSync) -> None:
        def body() -> None:
            transaction.on_commit(lambda: calls.append("committed"))
            calls.append("body")

        ctx.step.transaction("write", body)

    durable.run(commits).assert_completed()

    assert calls == ["body", "committed"]


def test_a_failed_statement_of_a_body_stands_for_itself(durable: Durable, client: Inngest) -> None:
    """As without a transaction around it: what was written before it stays."""

    @client.create_function(fn_id="clumsy", trigger=GO, retries=0)
    def clumsy(ctx: ContextSync) -> int:
        def body() -> None:
            Group.objects.create(name="one")
            with contextlib.suppress(IntegrityError):
                Group.objects.create(name="one")
            with contextlib.suppress(IntegrityError), transaction.atomic():
                Group.objects.create(name="two")
                Group.objects.create(name="one")
            Group.objects.create(name="three")
            Group.objects.create(name="three")

        with contextlib.suppress(StepError):
            ctx.step.run("write", body)
        return ctx.step.run("count", Group.objects.count)

    run = durable.run(clumsy)

    run.assert_completed(output=2)
    run.assert_step("write", error="IntegrityError")
    assert {group.name for group in Group.objects.all()} == {"one", "three"}


@pytest.mark.django_db(transaction=True)
def test_real_commits(durable: Durable, client: Inngest) -> None:
    @client.create_function(fn_id="real", trigger=GO)
    def real(ctx: ContextSync) -> bool:
        ctx.step.sleep("nap", "1h")
        return ctx.step.run("look", lambda: connection.in_atomic_block)

    run = durable.run(real)
    durable.advance("1h")

    run.assert_completed(output=False)


def test_an_async_function_runs(durable: Durable, client: Inngest) -> None:
    from inngest_django import Context

    @client.create_function(fn_id="async", trigger=GO)
    async def concurrent(ctx: Context) -> object:
        async def body() -> int:
            return 1

        first = await ctx.step.run("async body", body)
        await ctx.step.sleep("nap", "1h")
        return first + await ctx.step.run("plain body", lambda: 2)

    durable.run(concurrent).finish().assert_completed(output=3)
