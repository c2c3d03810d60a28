"""Programs: cache, results, errors, constants, keys."""

from __future__ import annotations

import datetime as dt
import json
import logging
import pickle
import sys
import types

import pytest

from inngest_django import expressions
from inngest_django.expressions import grammar, programs


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Empty the cache and list what is parsed from now on."""
    seen: list[str] = []
    parse = grammar.parse

    def counted(text: str, *, source: str) -> object:
        seen.append(text)
        return parse(text, source=source)

    monkeypatch.setattr(programs, "_programs", type(programs._programs)())
    monkeypatch.setattr(grammar, "parse", counted)
    return seen


def test_same_source_is_parsed_once_per_kind(parsed: list[str]) -> None:
    first = expressions.compile("event.data.x", kind="filter")
    second = expressions.compile("event.data.x", kind="filter")
    other = expressions.compile("event.data.x", kind="key")

    assert first is second
    assert other is not first
    assert len(parsed) == 2


def test_cache_drops_what_was_not_used_longest(
    parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "CACHED_PROGRAMS", 2)
    for source in ("1 == 1", "2 == 2", "1 == 1", "3 == 3", "1 == 1"):
        expressions.compile(source, kind="filter")

    assert parsed == ["1 == 1", "2 == 2", "3 == 3"]
    assert [source for source, _ in programs._programs] == ["3 == 3", "1 == 1"]


def test_the_parser_is_loaded_by_the_first_expression(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar, "_parser_class", None)

    assert expressions.compile("event.data.first == 1", kind="filter")
    assert grammar._parser_class is not None


def test_program_holds_no_parse_tree() -> None:
    program = expressions.compile("event.data.x == 1 && event.data.y", kind="filter")
    seen: set[int] = set()
    pending: list[object] = [program]
    while pending:
        item = pending.pop()
        if id(item) in seen or isinstance(item, type) or type(item).__name__ == "module":
            continue
        seen.add(id(item))
        assert not type(item).__module__.startswith(("lark", "celpy"))
        pending.extend(getattr(item, name, None) for name in getattr(type(item), "__slots__", ()))
        if isinstance(item, tuple | list):
            pending.extend(item)
        pending.extend(cell.cell_contents for cell in getattr(item, "__closure__", None) or ())
    assert len(seen) > 10


@pytest.mark.parametrize(
    ("source", "paths"),
    [
        ("event.data.x == event['data']['x']", [("data", "x")]),
        ("event.data.items[0].n == event.name", [("data", "items", 0, "n"), ("name",)]),
        ("has(event.data.x)", [("data", "x")]),
        ("event.data.items.exists(i, i.n == event.data.n)", [("data", "items"), ("data", "n")]),
        ("event.data.map[async.data.k] == 1", [("data", "map")]),
        ("event == async", [()]),
        ("true", []),
    ],
)
def test_event_paths(source: str, paths: list[tuple[str | int, ...]]) -> None:
    assert list(expressions.compile(source, kind="wait").event_paths) == paths


def test_volatile_program_says_so() -> None:
    volatile = expressions.compile('event.ts < int(now_minus("1h"))', kind="filter")
    plain = expressions.compile("date(event.ts) == date(event.ts)", kind="filter")

    assert volatile.is_volatile is True
    assert plain.is_volatile is False


def test_only_exactly_true_matches() -> None:
    program = expressions.compile("event.data.x", kind="filter")

    results = {
        repr(value): program.matches(event={"data": {"x": value}})
        for value in (True, False, 1, "true", None, [True])
    }

    assert [name for name, result in results.items() if result] == ["True"]


def test_failed_match_is_logged_without_the_payload(caplog: pytest.LogCaptureFixture) -> None:
    program = expressions.compile("event.data.x < 1", kind="filter")

    with caplog.at_level(logging.DEBUG, logger="inngest_django"):
        assert program.matches(event={"data": {"x": "secret"}}) is False

    [record] = caplog.records
    assert record.levelno == logging.DEBUG
    assert record.getMessage() == "expression has no value"
    assert record.expression == "event.data.x < 1"  # type: ignore[attr-defined]  # from extra
    assert record.reason == "string and number have no order."  # type: ignore[attr-defined]
    assert "secret" not in repr(vars(record))


def test_what_no_event_should_hold_is_logged_by_the_errors_type(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(dict[str, object]):
        def __contains__(self, _: object) -> bool:
            raise OSError("secret")

    program = expressions.compile("has(event.x)", kind="filter")

    with caplog.at_level(logging.DEBUG, logger="inngest_django"):
        assert program.matches(event=Broken()) is False
    with pytest.raises(expressions.ExpressionError) as caught:
        program.evaluate(event=Broken())

    [record] = caplog.records
    assert record.reason == "OSError"  # type: ignore[attr-defined]  # from extra
    assert "secret" not in repr(vars(record))
    assert caught.value.kind == "eval"
    assert str(caught.value) == (
        'Expression "has(event.x)": it has no value for this event (OSError).'
    )


def test_an_event_that_fills_the_stack_is_too_deep() -> None:
    class Endless(dict[str, object]):
        def __contains__(self, _: object) -> bool:
            raise RecursionError

    program = expressions.compile("has(event.x)", kind="filter")

    with pytest.raises(expressions.ExpressionError) as caught:
        program.evaluate(event=Endless())
    assert caught.value.kind == "limit"
    assert str(caught.value) == 'Expression "has(event.x)": the event nests too deeply.'


def test_evaluation_error_names_the_expression_and_not_the_payload() -> None:
    program = expressions.compile("event.data.x < 1", kind="filter")

    with pytest.raises(expressions.ExpressionError) as caught:
        program.evaluate(event={"data": {"x": "secret"}})

    assert caught.value.kind == "eval"
    assert "event.data.x < 1" in str(caught.value)
    assert "secret" not in str(caught.value)


NAIVE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC).replace(tzinfo=None)


def test_values_that_are_no_json_give_an_error_of_ours() -> None:
    program = expressions.compile("event.data.x == event.data.x", kind="filter")
    naive = expressions.compile("event.data.x < now()", kind="filter")

    for broken, value in ((program, object()), (naive, NAIVE)):
        event = {"data": {"x": value}}
        assert broken.matches(event=event) is False
        with pytest.raises(expressions.ExpressionError):
            broken.evaluate(event=event)


def test_other_mappings_and_subclasses_serve_as_events() -> None:
    class Text(str):
        __slots__ = ()

    event = types.MappingProxyType({"data": types.MappingProxyType({"x": Text("a"), "t": (1,)})})
    program = expressions.compile(
        'event.data.x == "a" && 1 in event.data.t && event.data.x < "b" && has(event.data.t) '
        "&& event.data == event.data",
        kind="filter",
    )

    assert program.matches(event=event)
    assert program.matches(event=program.constants(event))


def test_macro_over_too_many_elements_is_stopped() -> None:
    program = expressions.compile("event.data.l.all(x, x >= 0)", kind="filter")

    assert program.matches(event={"data": {"l": [1] * 9_000}})
    with pytest.raises(expressions.ExpressionError) as caught:
        program.evaluate(event={"data": {"l": [1] * 11_000}})
    assert caught.value.kind == "limit"


def test_comparing_lists_in_a_macro_is_stopped() -> None:
    program = expressions.compile(
        "event.data.l.all(x, event.data.big == event.data.big)", kind="filter"
    )

    with pytest.raises(expressions.ExpressionError) as caught:
        program.evaluate(event={"data": {"l": [1] * 9_000, "big": [1] * 2_000}})
    assert caught.value.kind == "limit"


def test_no_operator_absorbs_a_limit() -> None:
    program = expressions.compile("event.data.l.all(x, x >= 0) || true", kind="filter")

    assert program.matches(event={"data": {"l": [1] * 11_000}}) is False


def test_joined_text_and_lists_are_bounded() -> None:
    for source, value in (
        ("event.data.x + event.data.x", "x" * 40_000),
        ("event.data.x + event.data.x", [1] * 6_000),
    ):
        program = expressions.compile(source, kind="key")
        with pytest.raises(expressions.ExpressionError) as caught:
            program.evaluate(event={"data": {"x": value}})
        assert caught.value.kind == "limit"


EVENT = {
    "name": "a/b",
    "data": {
        "x": 1,
        "null": None,
        "items": [{"n": 1}, {"n": 2}],
        "map": {"k": {"deep": 1, "other": 2}, "j": 3},
        "text": "abc",
        "secret": "s",
    },
    "user": {"id": 7},
}


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("event.data.x == 1", {"data": {"x": 1}}),
        ("has(event.data.null)", {"data": {"null": None}}),
        ("has(event.data.gone)", {"data": {}}),
        ("event.data.gone.deep == 1", {"data": {}}),
        ("event.gone.deep == 1", {}),
        ("event.data.map.k.deep == 1", {"data": {"map": {"k": {"deep": 1}}}}),
        (
            "event.data.map.k.deep == 1 && event.data.map.k == 1",
            {"data": {"map": {"k": {"deep": 1, "other": 2}}}},
        ),
        (
            "event.data.map.k == 1 && event.data.map.k.deep == 1",
            {"data": {"map": {"k": {"deep": 1, "other": 2}}}},
        ),
        ("event.data.items[1].n == 2", {"data": {"items": [{"n": 1}, {"n": 2}]}}),
        ("event.data.items.n == 2", {"data": {}}),
        ("event.data.text.n == 2", {"data": {}}),
        ("event.data.text[0] == 2", {"data": {"text": "abc"}}),
        ("event.data.items.exists(i, i.n == 2)", {"data": {"items": [{"n": 1}, {"n": 2}]}}),
        ("event.data == 1", {"data": EVENT["data"]}),
        ("event[0] == 1", EVENT),
        ("event == 1", EVENT),
        ("async.data.x == 1", {}),
    ],
)
def test_constants_hold_what_is_read_and_nothing_else(source: str, kept: object) -> None:
    program = expressions.compile(source, kind="wait")

    constants = program.constants(EVENT)

    assert constants == kept
    assert json.loads(json.dumps(constants)) == kept
    arriving = {"data": {"x": 1}}
    assert program.matches(event=constants, arriving=arriving) == program.matches(
        event=EVENT, arriving=arriving
    )


def test_bucket_keys() -> None:
    program = expressions.compile("event.data.x", kind="key")

    def key(value: object) -> str | None:
        return expressions.bucket_key(program, {"data": {"x": value}})

    assert key(1) == key(1.0)
    assert key(None) is None
    assert expressions.bucket_key(program, {"data": {}}) is None
    assert len({key(1), key("1"), key(True), key([1]), key({"x": 1}), key(""), key(False)}) == 7
    assert len(key("x" * 100_000) or "") == 32


def test_bucket_key_of_a_failing_expression_is_an_error_and_no_shared_bucket() -> None:
    program = expressions.compile('event.data.x + "-" + event.data.y', kind="key")

    with pytest.raises(expressions.ExpressionError, match=r"event\.data\.x"):
        expressions.bucket_key(program, {"data": {"x": True, "y": "a"}})


def test_bucket_key_of_a_bottomless_value_is_an_error() -> None:
    program = expressions.compile("event.data.x", kind="key")
    deep: object = 1
    for _ in range(100):
        deep = [deep]

    with pytest.raises(expressions.ExpressionError, match=r"event\.data\.x") as caught:
        expressions.bucket_key(program, {"data": {"x": deep}})

    assert caught.value.kind == "limit"


def test_program_shows_its_source() -> None:
    program = expressions.compile("true", kind="filter")

    assert repr(program) == "Program('true', kind='filter')"
    assert sys.getsizeof(program) < 200
    with pytest.raises(Exception, match="pickle"):
        pickle.dumps(program)
