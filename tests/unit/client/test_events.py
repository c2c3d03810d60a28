from __future__ import annotations

import datetime as dt
from typing import Any

import pydantic
import pytest

from inngest_django.events import Event


def test_defaults() -> None:
    event = Event(name="a")

    assert (event.data, event.id, event.ts, event.user, event.v) == ({}, "", 0, None, None)
    assert event.model_dump(mode="json") == {"name": "a", "data": {}, "id": "", "ts": 0}


@pytest.mark.parametrize("data", [None, [], 0, "", {}])
def test_falsy_data_is_an_empty_object(data: Any) -> None:
    assert Event(name="a", data=data).data == {}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": None},
        {"name": 5},
        {"name": "a", "id": None},
        {"name": "a", "ts": None},
        {"name": "a", "ts": 1.0},
        {"name": "a", "ts": "1"},
        {"name": "a", "data": [1]},
        {"name": "a", "data": {1: 2}},
        {"name": "a", "data": {"x": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}},
        {"name": "a", "data": {"x": object()}},
        {"name": "a", "user": [1]},
        {"name": "a", "v": 1},
    ],
)
def test_wrong_fields_are_refused(fields: Any) -> None:
    with pytest.raises(pydantic.ValidationError):
        Event(**fields)


def test_json_values_of_all_kinds_are_accepted() -> None:
    data = {"b": True, "i": 1, "f": 1.5, "s": "x", "d": {"y": [1]}, "l": [{}], "t": (1,), "n": None}

    event = Event(name="", data=data, user={"id": 1}, v="2", unknown=1)  # type: ignore[call-arg]

    assert event.data == data
    dumped = event.model_dump(mode="json")
    assert dumped["data"]["t"] == [1]
    assert (dumped["user"], dumped["v"]) == ({"id": 1}, "2")
    assert "unknown" not in dumped


@pytest.mark.parametrize("raw", [{"name": "a"}, '{"name": "a"}', b'{"name": "a"}'])
def test_from_raw_reads_dicts_and_json(raw: Any) -> None:
    assert Event.from_raw(raw) == Event(name="a")


@pytest.mark.parametrize("raw", [{}, "{", b"\xff", "[]", None])
def test_from_raw_returns_the_failure(raw: Any) -> None:
    assert isinstance(Event.from_raw(raw), Exception)


def test_to_dict_returns_the_fields_or_the_failure() -> None:
    assert Event(name="a", ts=5).to_dict() == {"name": "a", "data": {}, "id": "", "ts": 5}
    assert isinstance(Event(name="a", data={"x": [object()]}).to_dict(), Exception)


def test_fields_may_be_replaced_and_copied() -> None:
    event = Event(name="a", data={"x": 1})
    event.data = {"y": 2}

    assert event.model_copy().data == {"y": 2}


def test_stored_event_equals_one_made_by_hand() -> None:
    stored = {"name": "a", "data": {"x": [1]}, "id": "1", "ts": 5, "user": None}

    assert Event.from_stored(stored) == Event(name="a", data={"x": [1]}, id="1", ts=5)
