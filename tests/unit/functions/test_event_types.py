from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pydantic
import pytest

from inngest_django import Event, EventType, Function, Inngest, TriggerCron, TriggerEvent
from inngest_django.errors import ConfigError, EventDataError
from inngest_django.functions import registry
from inngest_django.functions.triggers import INVOKED_EVENT, event_types


class Line(pydantic.BaseModel):
    sku: str
    pieces: int


class Order(pydantic.BaseModel):
    number: str
    total: Decimal = pydantic.Field(gt=0)
    day: dt.date = dt.date(2030, 1, 1)
    lines: list[Line] = []


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)
    at: dt.datetime = pydantic.Field(alias="sentAt")


order_placed = EventType("shop/order.placed", Order)
strict = EventType("shop/strict", Strict)
client = Inngest(app_id="typed", is_production=False)


def declaring(*triggers: TriggerEvent | TriggerCron, fn_id: str = "f") -> Function:
    return client.create_function(fn_id=fn_id, trigger=list(triggers))(lambda ctx: None)


# The type itself -------------------------------------------------------------------------


def test_a_model_goes_through_an_event_and_comes_back() -> None:
    order = Order(number="A", total=Decimal("9.50"), lines=[Line(sku="mug", pieces=2)])

    event = order_placed.event(order, id="once", ts=5)

    assert (event.name, event.id, event.ts) == ("shop/order.placed", "once", 5)
    assert event.data == {
        "number": "A",
        "total": "9.50",
        "day": "2030-01-01",
        "lines": [{"sku": "mug", "pieces": 2}],
    }
    assert order_placed.data(event) == order


def test_a_dictionary_is_completed_by_the_model() -> None:
    assert order_placed.event({"number": "A", "total": 1}).data["day"] == "2030-01-01"


def test_aliases_and_strict_models_are_read_as_json() -> None:
    at = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)

    event = strict.event(Strict(sentAt=at))

    assert event.data == {"sentAt": "2030-01-01T00:00:00Z"}
    assert strict.data(event).at == at


def test_the_key_that_the_engine_adds_to_invoked_data_is_not_the_models() -> None:
    data = {
        **strict.event(Strict(sentAt=dt.datetime(2030, 1, 1, tzinfo=dt.UTC))).data,
        "_inngest": {"a": 1},
    }

    assert strict.data(Event(name=INVOKED_EVENT, data=data)).at.year == 2030


def test_wrong_data_to_send_names_event_field_and_value() -> None:
    with pytest.raises(EventDataError) as caught:
        order_placed.event(
            {"number": "A", "total": -5, "lines": [{"sku": "mug", "pieces": "x" * 200}]}
        )

    text = str(caught.value)
    assert text.startswith(
        'Event "shop/order.placed" does not fit Order: field "total": Input should be greater'
        " than 0, got -5"
    )
    assert 'also wrong: "lines.0.pieces"' in text
    assert not caught.value.is_retriable


def test_a_long_value_is_shortened() -> None:
    with pytest.raises(EventDataError) as caught:
        order_placed.event({"number": ["x" * 500], "total": 1})

    assert len(str(caught.value)) < 250


def test_wrong_data_in_a_run_is_named_without_its_value() -> None:
    with pytest.raises(EventDataError) as caught:
        order_placed.data(Event(name="shop/order.placed", data={"number": 7, "total": "secret"}))

    assert 'field "number"' in str(caught.value)
    assert '"total"' in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("name", "model", "field"),
    [("", Order, "name"), ("shop/*", Order, "name"), (5, Order, "name"), ("a", int, "model")],
)
def test_a_bad_declaration_is_refused(name: object, model: object, field: str) -> None:
    with pytest.raises(ConfigError, match=f"^{field}: "):
        EventType(name, model)  # type: ignore[arg-type,type-var]


# Declared by triggers ----------------------------------------------------------------------


def test_a_trigger_takes_its_name() -> None:
    trigger = TriggerEvent(event=order_placed, expression="event.data.total != null")

    assert trigger.event == "shop/order.placed"
    assert trigger.event_type is order_placed
    assert (
        trigger.wire()
        == TriggerEvent(event="shop/order.placed", expression="event.data.total != null").wire()
    )
    assert TriggerEvent(event="a").event_type is None


TYPED = TriggerEvent(event=order_placed)
OTHER = TriggerEvent(event=strict)


@pytest.mark.parametrize(
    ("triggers", "name", "expected"),
    [
        ([TYPED], "shop/order.placed", [order_placed]),
        ([TYPED, OTHER], "shop/order.placed", [order_placed]),
        ([TYPED], "shop/other", []),
        ([TYPED, TriggerEvent(event="shop/*")], "shop/order.placed", []),
        ([TYPED, TriggerEvent(event="shop/order.placed", expression="true")], TYPED.event, []),
        ([TYPED, OTHER], INVOKED_EVENT, [order_placed, strict]),
        ([TYPED, TriggerCron(cron="0 0 * * *")], INVOKED_EVENT, []),
        ([], INVOKED_EVENT, []),
    ],
)
def test_which_types_an_event_must_fit(
    triggers: list[TriggerEvent], name: str, expected: list[object]
) -> None:
    assert event_types(triggers, name) == expected


GOOD = Event(name="shop/order.placed", data={"number": "A", "total": 1})
BAD = Event(name="shop/order.placed", data={"number": "A", "total": 0})


def test_registered_functions_decide_what_may_be_sent() -> None:
    with registry.only([]):
        assert registry.fitting([BAD]) == ([BAD], None)
    with registry.only([declaring(TYPED)]):
        assert registry.fitting([GOOD]) == ([GOOD], None)
        events, refusal = registry.fitting([GOOD, BAD, GOOD])

    assert events == [GOOD]
    assert refusal == (
        'Event 2 of 3 was refused: Event "shop/order.placed" does not fit Order: field "total":'
        ' Input should be greater than 0, got 0. Function "typed-f" declares it.'
    )


def test_data_must_fit_every_function_and_of_each_one_type() -> None:
    either = declaring(
        TriggerEvent(event=order_placed, expression="event.data.total != null"),
        TriggerEvent(event=EventType("shop/order.placed", Line)),
        fn_id="either",
    )
    line = Event(name="shop/order.placed", data={"sku": "mug", "pieces": 1})

    with registry.only([either]):
        assert registry.fitting([line, GOOD])[1] is None
        assert registry.fitting([Event(name="shop/order.placed")])[1] is not None
    with registry.only([either, declaring(TYPED)]):
        assert registry.fitting([line])[1] is not None
