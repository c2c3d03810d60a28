"""Traps that CEL over JSON events sets, one test each."""

from __future__ import annotations

import concurrent.futures
import json
import sys
import threading

import pytest

from inngest_django import expressions
from inngest_django.expressions import grammar


def filter_of(source: str) -> expressions.Program:
    return expressions.compile(source, kind="filter")


def wait_of(source: str) -> expressions.Program:
    return expressions.compile(source, kind="wait")


def is_found(source: str, *, event: dict[str, object], arriving: dict[str, object]) -> bool:
    """Return whether the index leads from the arriving event to the wait."""
    plan = expressions.plan(wait_of(source), event=event, event_name="a/b")
    keys = expressions.keys_of(arriving, event_name="a/b", shapes=plan.shapes).keys
    return bool(keys & set(plan.keys))


def test_trap_1_backslashes_that_hang_the_lexer_never_reach_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grammar, "parse", lambda text, source: pytest.fail("was parsed"))

    with pytest.raises(expressions.ExpressionError) as caught:
        filter_of('"' + "\\\\" * 20)

    assert caught.value.kind == "limit"


def test_trap_2_async_is_a_name_like_any_other() -> None:
    program = wait_of('async.data.x == 1 && async["data"].x == event.data.x')

    assert program.matches(event={"data": {"x": 1}}, arriving={"data": {"x": 1.0}})
    assert not program.matches(event={"data": {"x": 1}}, arriving={"data": {"x": 2}})
    assert not program.matches(event={"data": {"x": 1}})


def test_trap_3_threads_never_see_each_others_events() -> None:
    interval = sys.getswitchinterval()
    gate = threading.Barrier(16)
    sources = [
        'event.data.n + "-" + event.data.s',
        "event.data.l.map(i, i + event.data.n)",
        "event.data.l.filter(i, i == event.data.n).map(i, i * 2)",
    ]

    def work(number: int) -> int:
        event = {"data": {"n": number, "s": f"s{number}", "l": [number, number + 1]}}
        expected = [f"{number}-s{number}", [number * 2, number * 2 + 1], [number * 2]]
        gate.wait()
        wrong = 0
        for turn in range(150):
            # A comment makes a new source, so that parsing runs in parallel as well.
            for source, value in zip(sources, expected, strict=True):
                text = f"{source} // {turn % 3} {number % 4}"
                program = expressions.compile(text, kind="key")
                wrong += program.evaluate(event=event) != value
        return wrong

    sys.setswitchinterval(1e-5)
    try:
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            assert sum(pool.map(work, range(16))) == 0
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (100.5, True),
        (100, False),
        ("150", False),
        (None, False),
        (True, False),
        (2**70, True),
        ([150], False),
    ],
)
def test_trap_4_amounts_of_every_kind(amount: object, expected: bool) -> None:
    program = filter_of("event.data.amount > 100")

    assert program.matches(event={"data": {"amount": amount}}) is expected
    assert program.matches(event={"data": {}}) is False


def poison_events() -> list[dict[str, object]]:
    deep: object = 1
    for _ in range(1_000):
        deep = {"x": deep}
    deep_list: object = 1
    for _ in range(1_000):
        deep_list = [deep_list]
    return [
        {"data": {"x": 10**5_000, "type": "t"}},
        {"data": {"x": deep, "type": "t"}},
        {"data": {"x": deep_list, "type": "t"}},
        {"data": {"x": float("nan"), "type": "t"}},
        {"data": {"x": "\ud800\x00", "type": "t"}},
        {"data": {"x": object(), "type": "t"}},
    ]


@pytest.mark.parametrize(
    "event", poison_events(), ids=["int", "deep", "list", "nan", "text", "alien"]
)
def test_trap_5_poison_event_stops_no_other_function(event: dict[str, object]) -> None:
    filters: expressions.Filters[str] = expressions.Filters()
    for number in range(60):
        filters.add(filter_of(f"event.data.x == event.data.x && event.data.y == {number}"), "other")
        filters.add(filter_of(f'"k" + event.data.x == "{number}"'), "other")
    filters.add(filter_of('event.data.type == "t"'), "good")
    filters.add(filter_of("event.data.x in [1, [2], {'a': 3}]"), "other")
    errors: list[str] = []

    found = filters.matching(event, on_error=lambda item, error: errors.append(item))

    assert found == ["good"]
    assert set(errors) <= {"other"}


@pytest.mark.parametrize(
    "event", poison_events(), ids=["int", "deep", "list", "nan", "text", "alien"]
)
def test_trap_5_poison_event_still_ends_the_waits_it_matches(event: dict[str, object]) -> None:
    source = "async.data.type == event.data.type"

    assert wait_of(source).matches(event={"data": {"type": "t"}}, arriving=event)
    assert is_found(source, event={"data": {"type": "t"}}, arriving=event)
    by_poison = "async.data.x == event.data.x"
    plan = expressions.plan(wait_of(by_poison), event=event, event_name="a/b")
    assert plan.never is False
    wait_of(by_poison).matches(event=event, arriving=event)


def test_trap_6_trigger_without_the_joined_field_matches_events_without_it() -> None:
    source = "event.data.a == async.data.a"
    plan = expressions.plan(wait_of(source), event={"data": {}}, event_name="a/b")

    assert wait_of(source).matches(event={"data": {}}, arriving={"data": {}})
    assert wait_of(source).matches(event={"data": {}}, arriving={"data": {"a": None}})
    assert not wait_of(source).matches(event={"data": {}}, arriving={"data": {"a": 1}})
    assert is_found(source, event={"data": {}}, arriving={"data": {}})
    assert is_found(source, event={}, arriving={"data": {"a": None}})
    [warning] = plan.warnings
    assert "event.data.a is missing or null" in warning
    assert "events without async.data.a match" in warning


def test_trap_6_no_warning_when_null_was_written() -> None:
    plan = expressions.plan(wait_of("async.data.a == null"), event={}, event_name="a/b")

    assert plan.warnings == ()


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("async.data.x in [" + ", ".join(map(str, range(33))) + "]", [0, 32, 5.0]),
        ("async.data.x == 1 || async.data.y > 1", [1, 7]),
        ("async.data.x in event.data.many", [0, 99]),
    ],
)
def test_trap_7_what_cannot_be_looked_up_is_residual_and_still_matches(
    source: str, values: list[object]
) -> None:
    event: dict[str, object] = {"data": {"many": list(range(100))}}
    plan = expressions.plan(wait_of(source), event=event, event_name="a/b")

    assert plan.keys == (expressions.residual_key("a/b"),)
    assert plan.shapes == ()
    for value in values:
        arriving: dict[str, object] = {"data": {"x": value, "y": 2}}
        assert wait_of(source).matches(event=event, arriving=arriving)
        assert is_found(source, event=event, arriving=arriving)


def test_trap_7_nothing_is_in_an_empty_list() -> None:
    plan = expressions.plan(wait_of("async.data.x in []"), event={}, event_name="a/b")

    assert plan.never is True
    assert plan.keys == ()


def test_trap_8_list_where_a_scalar_was_joined_and_the_reverse() -> None:
    source = "async.data.x == event.data.x"
    cases: list[tuple[object, object, bool]] = [
        ("a", ["a"], False),
        (["a"], "a", False),
        (["a"], ["a"], True),
        ({"k": 1}, {"k": 1.0}, True),
        ([[[[[1]]]]], [[[[[1.0]]]]], True),
    ]

    for mine, theirs, expected in cases:
        event: dict[str, object] = {"data": {"x": mine}}
        arriving: dict[str, object] = {"data": {"x": theirs}}
        assert wait_of(source).matches(event=event, arriving=arriving) is expected
        assert is_found(source, event=event, arriving=arriving) or not expected


def test_trap_8_membership_in_what_is_no_list() -> None:
    source = "event.data.x in async.data.l"
    cases: list[tuple[object, bool]] = [
        (["a", 1], True),
        ({"a": 1}, True),
        ("a", False),
        (None, False),
        ([["a"]], False),
    ]

    for container, expected in cases:
        arriving: dict[str, object] = {"data": {"l": container}}
        event: dict[str, object] = {"data": {"x": "a"}}
        assert wait_of(source).matches(event=event, arriving=arriving) is expected
        assert is_found(source, event=event, arriving=arriving) is expected


def test_trap_9_buckets_of_one_and_its_lookalikes() -> None:
    program = expressions.compile("event.data.k", kind="key")

    one, double, text, true = (
        expressions.bucket_key(program, {"data": {"k": value}}) for value in (1, 1.0, "1", True)
    )

    assert one == double
    assert len({one, text, true}) == 3


def test_trap_12_percent_formats_no_text() -> None:
    program = filter_of('"%999999999d" % 1 == ""')

    with pytest.raises(expressions.ExpressionError) as caught:
        program.evaluate(event={})

    assert caught.value.kind == "eval"
    assert json.dumps(str(caught.value)).count("%") < 20
