"""Trigger filters: the lookup gives what trying all of them would give."""

from __future__ import annotations

import datetime as dt

import pytest

from inngest_django import expressions
from inngest_django.expressions import filters as filters_module
from inngest_django.expressions.filters import LOOKUP_FROM

SOURCES = [
    'event.data.type == "t{n}"',
    'event.data.type == "t{n}" && event.data.amount > {n}',
    "event.data.amount == {n}.0",
    "event.data.amount > {n}",
    '"t{n}" in event.data.tags',
    'event.data.type in ["t{n}", "u{n}"]',
    "event.data.flag",
    "!event.data.flag || event.data.amount == {n}",
    'event.data.type < {n} || event.data.type == "t{n}"',
    "false",
]
EVENTS = [
    {"data": {"type": "t3", "amount": 7}},
    {"data": {"type": "u5", "amount": 5.0, "flag": True, "tags": ["t1", "t2"]}},
    {"data": {"type": None, "amount": "7", "flag": False}},
    {"data": {}},
    {},
]


def filled(copies: int) -> expressions.Filters[str]:
    filters: expressions.Filters[str] = expressions.Filters()
    for number in range(copies):
        for source in SOURCES:
            text = source.format(n=number)
            filters.add(expressions.compile(text, kind="filter"), text)
        filters.add(None, f"all {number}")
    return filters


@pytest.mark.parametrize("event", EVENTS)
def test_lookup_gives_what_trying_all_gives(
    event: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    filters = filled(10)
    assert len(filters) > LOOKUP_FROM

    found = filters.matching(event)
    monkeypatch.setattr(filters_module, "LOOKUP_FROM", 10_000)

    assert found == filters.matching(event)
    assert len([item for item in found if item.startswith("all")]) == 10


def test_lookup_tries_few(monkeypatch: pytest.MonkeyPatch) -> None:
    filters: expressions.Filters[int] = expressions.Filters()
    for number in range(300):
        program = expressions.compile(f'event.data.type == "t{number}"', kind="filter")
        filters.add(program, number)
    tried: list[str] = []
    decided = filters_module._decided

    def counted(program: expressions.Program, *args: object) -> bool:
        tried.append(program.source)
        return decided(program, *args)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(filters_module, "_decided", counted)

    assert filters.matching({"data": {"type": "t7"}}) == [7]
    assert len(tried) == 1


def test_failing_filter_is_reported_and_stops_no_other() -> None:
    filters: expressions.Filters[str] = expressions.Filters()
    filters.add(expressions.compile("event.data.x < 1", kind="filter"), "fails")
    filters.add(expressions.compile("event.data.x", kind="filter"), "no boolean")
    filters.add(expressions.compile("event.data.gone", kind="filter"), "null")
    filters.add(expressions.compile("event.data.x == 'a'", kind="filter"), "good")
    errors: dict[str, str] = {}

    found = filters.matching(
        {"data": {"x": "a"}}, on_error=lambda item, error: errors.update({item: str(error)})
    )

    assert found == ["good"]
    assert set(errors) == {"fails", "no boolean"}
    assert errors["no boolean"] == (
        'Expression "event.data.x": a filter must be true or false, got string. Compare the value.'
    )
    assert filters.matching({"data": {"x": "a"}}) == ["good"]


def test_time_is_the_one_given() -> None:
    filters: expressions.Filters[str] = expressions.Filters()
    program = expressions.compile("date(event.at) < now()", kind="filter")
    filters.add(program, "past")
    moment = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)

    assert filters.matching({"at": "2026-01-30"}, moment) == ["past"]
    assert filters.matching({"at": "2026-02-01"}, now=moment) == []


def test_order_is_the_order_added_and_each_item_comes_once() -> None:
    filters: expressions.Filters[int] = expressions.Filters()
    for number in reversed(range(60)):
        program = expressions.compile("event.x == 1 || event.y == 1", kind="filter")
        filters.add(program, number)

    assert filters.matching({"x": 1, "y": 1}) == list(reversed(range(60)))


def test_only_filters_can_be_added() -> None:
    program = expressions.compile("async.x == 1", kind="wait")

    with pytest.raises(
        ValueError, match=r'^A trigger needs a program of kind "filter", got "wait"\.$'
    ):
        expressions.Filters().add(program, 1)
