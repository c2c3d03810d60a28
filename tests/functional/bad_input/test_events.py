"""Events that break a limit are refused where they are sent, with nothing stored."""

from __future__ import annotations

from typing import Any

import pytest

import inngest_django as inngest
from inngest_django.models import Event
from tests.functional.support import Live, client, event_name, unique


def _nested(depth: int) -> Any:
    value: Any = "bottom"
    for _ in range(depth):
        value = [value]
    return value


EVENTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "too large": ({"data": {"x": "x" * (3 * 1024 * 1024)}}, ["3145728", "reference"]),
    "too deep": ({"data": {"x": _nested(70)}}, ["64", "deep"]),
    "a long name": ({"name": "n" * 513}, ["512"]),
    "no name": ({"name": ""}, ["name"]),
    "ts long ago": ({"ts": 1}, ["1980"]),
    "ts far away": ({"ts": 9_999_999_999_999}, ["2100"]),
    "not JSON": ({"data": {"x": [object()]}}, ["JSON"]),
    "not finite": ({"data": {"x": float("inf")}}, ["JSON"]),
    "a long id": ({"id": "i" * 513}, ["512"]),
    "NUL in the name": ({"name": "a\x00b"}, ["NUL"]),
}


@pytest.mark.parametrize("case", EVENTS)
def test_a_limit_is_named(live: Live, case: str) -> None:
    fields, texts = EVENTS[case]
    before = Event.objects.filter(name=event_name("limits")).count()
    with pytest.raises(inngest.SendEventsError) as caught:
        client.send_sync(inngest.Event(**{"name": event_name("limits"), **fields}))

    assert caught.value.ids == []
    for text in texts:
        assert text in str(caught.value)
    assert Event.objects.filter(name=event_name("limits")).count() == before


def test_too_many_at_once(live: Live) -> None:
    name = f"functional/{unique('many')}"
    with pytest.raises(inngest.SendEventsError, match="5000"):
        client.send_sync([inngest.Event(name=name)] * 5001)

    assert not Event.objects.filter(name=name).exists()


@client.create_function(
    fn_id="limits-sender",
    retries=1,
    trigger=inngest.TriggerEvent(event=event_name("limits-sender")),
)
def sender(ctx: inngest.ContextSync) -> object:
    try:
        return ctx.step.send_event("send", inngest.Event(name=""))
    except inngest.StepError as error:
        return [error.name, "name" in error.message]


def test_in_a_step_it_is_a_step_error(live: Live) -> None:
    run = live.run(sender)

    assert run.status == "completed", run.error
    assert run.output == ["SendEventsError", True]


def test_just_within_the_limits(live: Live) -> None:
    [event_id] = client.send_sync(
        inngest.Event(
            name="functional/nobody", data={"x": _nested(60), "y": "y" * (3 * 1024 * 1024 - 500)}
        )
    )

    assert Event.objects.get(pk=event_id).data["x"] == _nested(60)
