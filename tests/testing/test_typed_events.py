"""Declared data through the engine: refused at send, and on entry before the function's code."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pydantic
import pytest

from inngest_django import (
    Context,
    ContextSync,
    Event,
    EventType,
    Inngest,
    MiddlewareSync,
    SendEventsError,
    TriggerEvent,
)
from inngest_django.experimental import mocked
from inngest_django.models import Event as EventRow
from inngest_django.testing import Durable


class Order(pydantic.BaseModel):
    number: str
    total: int


order_placed = EventType("typed/order.placed", Order)
client = Inngest(app_id="typed", is_production=False)
entered: list[str] = []


@client.create_function(fn_id="plain", trigger=TriggerEvent(event=order_placed))
def plain(ctx: ContextSync) -> int:
    entered.append("plain")
    return ctx.step.run("double", lambda: order_placed.data(ctx.event).total * 2)


@client.create_function(fn_id="async", trigger=TriggerEvent(event=order_placed))
async def asynchronous(ctx: Context) -> int:
    entered.append("async")
    return await ctx.step.run("double", lambda: order_placed.data(ctx.event).total * 2)


@client.create_function(fn_id="caller", trigger=TriggerEvent(event="typed/caller"))
def caller(ctx: ContextSync) -> int:
    return ctx.step.invoke("call", function=plain, data=ctx.event.data)


@client.create_function(fn_id="teller", trigger=TriggerEvent(event="typed/teller"))
def teller(ctx: ContextSync) -> list[str]:
    return ctx.step.send_event("tell", Event(name=order_placed.name, data={"number": "secret"}))


@pytest.fixture(autouse=True)
def _nothing_entered() -> None:
    entered.clear()


BOTH = pytest.mark.parametrize("function", [plain, asynchronous], ids=lambda f: f.local_id)


@BOTH
def test_good_data_reaches_the_function(durable: Durable, function: Any) -> None:
    durable.run(function, {"number": "A", "total": 4}).assert_completed(output=8)


@BOTH
def test_bad_data_fails_the_run_at_once_and_calls_nothing(
    durable: Durable, function: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        run = durable.run(function, {"number": "A", "total": "secret"})

    run.assert_failed(name="EventDataError", code="event_data_invalid")
    message = run.error["message"] if run.error else ""
    assert f'Function "{function.id}"' in message
    assert 'Event "typed/order.placed" does not fit Order: field "total"' in message
    assert "Correct the sender" in message
    assert "secret" not in message + caplog.text
    assert entered == []
    assert run.steps == {}


def test_invoked_data_is_checked_too(durable: Durable) -> None:
    durable.register(plain)

    durable.run(caller, {"number": "A", "total": 4}).assert_completed(output=8)
    durable.run(caller, {"number": "A"}).assert_failed(name="EventDataError")


def test_send_refuses_bad_data_and_stores_what_stands_before_it(durable: Durable) -> None:
    durable.register(plain)
    good = order_placed.event(Order(number="A", total=1))

    with pytest.raises(SendEventsError, match='field "total": Field required') as caught:
        client.send_sync([good, Event(name=order_placed.name, data={"number": "B"}), good])

    assert [EventRow.objects.get().id] == caught.value.ids


def test_send_event_in_a_step_fails_without_a_retry(durable: Durable) -> None:
    durable.register(plain)

    run = durable.run(teller)

    run.assert_failed(name="EventDataError")
    run.assert_step("tell", error="EventDataError", attempts=1)
    assert "secret" not in str(run.error)


class Sealing(MiddlewareSync):
    """Makes data unreadable on its way."""

    def before_send_events(self, events: Sequence[Event]) -> None:
        for event in events:
            event.data = {"sealed": dict(event.data)}

    def transform_input(self, ctx: Any, function: Any, steps: Any) -> None:
        ctx.event.data = ctx.event.data["sealed"]


sealed = Inngest(app_id="sealed", is_production=False, middleware=[Sealing])


@sealed.create_function(fn_id="open", trigger=TriggerEvent(event=order_placed))
def opened(ctx: ContextSync) -> int:
    return order_placed.data(ctx.event).total


def test_both_checks_see_the_data_as_the_author_wrote_it(durable: Durable) -> None:
    durable.register(opened)

    sealed.send_sync(order_placed.event(Order(number="A", total=3)))
    durable.run_until_idle()
    with pytest.raises(SendEventsError, match="total"):
        sealed.send_sync(Event(name=order_placed.name, data={"number": "A"}))

    durable.only_run(opened).assert_completed(output=3)
    assert "sealed" in EventRow.objects.get(name=order_placed.name).data


@BOTH
def test_the_mocked_interface_checks_data_too(function: Any) -> None:
    fake = mocked.Inngest(app_id="typed")

    good = mocked.trigger(function, order_placed.event(Order(number="A", total=2)), fake)
    bad = mocked.trigger(function, Event(name=order_placed.name, data={"number": "A"}), fake)

    assert good.output == 4
    assert bad.status is mocked.Status.FAILED
    assert "was not called" in str(bad.error)


def test_the_kit_delivers_as_another_program_would(durable: Durable) -> None:
    durable.register(plain)

    durable.deliver(order_placed.name, {"number": "A"})

    durable.only_run(plain).assert_failed(name="EventDataError")
