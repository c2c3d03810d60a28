"""What the errors of evaluation say: the function, what it got, and the place."""

from __future__ import annotations

import pickle

import pytest
from celpy import celparser

from inngest_django import expressions
from inngest_django.expressions import grammar
from inngest_django.expressions.validation import ExpressionKind

EVENT = {"data": {"n": 1, "text": "a", "list": [1], "half": "\ud800", "big": 2**63 - 1,
        "huge": 10**2_000, "infinite": float("inf"), "alien": {1}, "open": "(",
        "long": "9" * 40 + "w"}}  # fmt: skip


def problem_of(source: str) -> str:
    with pytest.raises(expressions.ExpressionError) as caught:
        expressions.compile(source, kind="filter").evaluate(event=EVENT)
    assert caught.value.line is None
    return str(caught.value).removeprefix(f'Expression "{source}": ')


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        *(
            (f"event.data.n.{name}('a')", f"{name}() needs a string, got number.")
            for name in ("contains", "startsWith", "endsWith", "matches")
        ),
        *(
            (f"event.data.text.{name}(event.data.n)", f"{name}() needs a string, got number.")
            for name in ("contains", "startsWith", "endsWith", "matches")
        ),
        ("lowercase(event.data.n)", "lowercase() needs a string, got number."),
        ("uppercase(event.data.n)", "uppercase() needs a string, got number."),
        ("json_parse(event.data.n)", "json_parse() needs a string, got number."),
        ("json_parse(event.data.text)", "json_parse() got no valid JSON."),
        ("b64decode(event.data.n)", "b64decode() needs a string, got number."),
        ('event.data.half.matches("a")', "a string is not valid Unicode."),
        ("size(event.data.n)", "size() is not defined for number."),
        *(
            (f"event.data.n.{name}(x, x == 1)", f"{name}() needs a list or a map, got number.")
            for name in ("exists", "all", "exists_one", "filter", "map")
        ),
        ("event.data.list.filter(x, x)", "a macro needs true or false, got number."),
        ("event.data.n / 0", "division by zero."),
        ("event.data.big + 1", "a whole number does not fit in 64 bits."),
        ("event.data.n * 1e308 * 10.0", "a number is too large."),
        ("event.data.huge + 0.5", "a number is too large."),
        ("event.data.huge + 'a'", "a number is too large."),
        ("event.data.infinite + 'a'", "a number is not finite."),
        ("event.data.n + true", "+ is not defined for number and bool."),
        ("event.data.text - event.data.n", "- is not defined for string and number."),
        ("event.data.n * event.data.text", "* is not defined for number and string."),
        ("event.data.list / event.data.n", "/ is not defined for list and number."),
        ("event.data.text % event.data.n", "% is not defined for string and number."),
        ("-event.data.text", "- is not defined for number and string."),
        ("1.5 % event.data.n", "% needs whole numbers."),
        (
            'timestamp("9999-12-31T00:00:00Z") + duration("48h")',
            "a time is out of range or has no zone.",
        ),
        (
            "event.data.text[0]",
            "a string has no elements. Use contains() or matches().",
        ),
        ("event.data.n in event.data.text", "in needs a list or a map, got string."),
        ("event.data.n < event.data.text", "number and string have no order."),
        ("null < event.data.list", "null and list have no order."),
        ("event.data.list < event.data.list", "values of kind list have no order."),
        ("event.data < event.data", "values of kind map have no order."),
        ("type(1) < type(2)", "values of kind type have no order."),
        ("event.data.alien == 1", "values of type set are not supported."),
        ("!event.data.n", "! needs true or false, got number."),
        ("event.data.n && true", "&& needs true or false, got number."),
        ("false || event.data.text", "|| needs true or false, got string."),
        ("event.data.n ? 1 : 2", "? needs true or false, got number."),
        ("{event.data.n: 1}", "keys of a map are strings, as in JSON."),
        ('{"a": 1, event.data.text: 2}', "a map has a key twice."),
        ("matches('a', event.data.half)", "a pattern is not valid RE2 syntax."),
        ("event.data.text.matches(event.data.open)", "a pattern is not valid RE2 syntax."),
        ("b64decode(event.data.text)", "b64decode() got no base64 of UTF-8 text."),
        ("int(event.data.text)", "int() cannot convert this string."),
        ("int(event.data.infinite)", "int() cannot convert this number."),
        ("double(event.data.text)", "double() cannot convert this string."),
        ("double(event.data.list)", "double() cannot convert this list."),
        ("string(event.data.list)", "string() cannot convert list."),
        ("bool(event.data.n)", "bool() cannot convert this number."),
        ("timestamp(1.5)", "timestamp() cannot convert this number."),
        (
            "timestamp(event.data.text)",
            'a timestamp cannot be read. Write RFC 3339, such as "2026-01-31T09:00:00Z".',
        ),
        (
            'date("2026-02-30")',
            "a timestamp is not a real date and time.",
        ),
        ("timestamp(event.data.big)", "a timestamp is out of range."),
        ("date(event.data.list)", "date() cannot convert this list."),
        ("date(event.data.n)", "date() takes epochs from the year 2000 on only."),
        ("date(event.data.huge)", "a timestamp is out of range."),
        ("duration(event.data.n)", "duration() needs a string, got number."),
        (
            "duration(event.data.text)",
            'a duration cannot be read. Write it such as "1h30m" or "2d".',
        ),
        ("duration(event.data.long)", "a duration is too long."),
        ("now_plus(event.data.n)", "duration() needs a string, got number."),
        ('now_plus("99999999d")', "a timestamp is out of range."),
    ],
)
def test_problems_name_the_function_and_what_it_got(source: str, problem: str) -> None:
    assert problem_of(source) == problem


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("event.data.text + event.data.text", "a joined text has over 65536 characters."),
        ("event.data.list + event.data.list", "a joined list has over 10000 elements."),
        ("b64decode(event.data.decoded)", "b64decode() takes at most 65536 characters."),
        ("json_parse(event.data.decoded)", "json_parse() takes at most 65536 characters."),
        ('"a".matches(event.data.pattern)', "a pattern has over 200 characters."),
        ("event.data.list.all(x, [1, 2] == [1, 2])", "it takes too much work on this event."),
        ("event.data.deep == event.data.deep", "a compared value nests over 64 levels."),
    ],
)
def test_limits_name_what_is_too_much(source: str, problem: str) -> None:
    deep: list[object] = []
    for _ in range(80):
        deep = [deep]
    data = {
        "text": "a" * 40_000,
        "list": [1] * 10_000,
        "decoded": "a" * 65_537,
        "pattern": "a" * 201,
        "deep": deep,
    }
    program = expressions.compile(source, kind="filter")

    with pytest.raises(expressions.ExpressionError) as caught:
        program.evaluate(event={"data": data})
    assert caught.value.kind == "limit"
    assert str(caught.value) == f'Expression "{source}": {problem}'


NEEDS = "Fields begin with event, such as event.data.total."


@pytest.mark.parametrize(
    ("source", "kind", "problem"),
    [
        ("evnt.x", "filter", f'unknown name "evnt". Did you mean event? {NEEDS}'),
        ("asynch.x", "wait", f'unknown name "asynch". Did you mean async? {NEEDS}'),
        ("asynch.x", "filter", f'unknown name "asynch". {NEEDS}'),
        ("vars.x", "filter", f'unknown name "vars". {NEEDS}'),
        (
            "async.x",
            "filter",
            '"async" is the arriving event of a wait or a cancel rule; a trigger filter has only '
            '"event".',
        ),
        (
            "exists(event.data.l, true)",
            "filter",
            "exists() is called on a list, such as event.data.items.exists(i, i.total > 1).",
        ),
        ("lowercas(event.name)", "filter", "unknown function lowercas(). Did you mean lowercase?"),
        ("exist(event.name)", "filter", "unknown function exist(). Did you mean exists?"),
        ("hass(event.name)", "filter", "unknown function hass(). Did you mean has?"),
        (
            "event.name.lowercase()",
            "filter",
            "lowercase() is not called on a value. Write lowercase(value).",
        ),
        (
            'contains(event.name, "a")',
            "filter",
            "contains() is called on a value. Write value.contains(...).",
        ),
        ("now(1)", "filter", "now() takes 0 argument(s), got 1."),
        ("event.name.contains()", "filter", "contains() takes 1 argument(s), got 0."),
        (
            "now()",
            "key",
            "now() changes with time, so that one event would have many keys. "
            "Use a field of the event.",
        ),
        (
            "event.data.l.all(x, event.data.l.exists(y, x == y))",
            "filter",
            "exists() is used inside another macro, which can take minutes. "
            "Test one list at a time, joined with && or ||.",
        ),
        (
            "event.data.l.exists(event, true)",
            "filter",
            '"event" cannot name a variable. Choose another name.',
        ),
        (
            "event.data.l.map(i, i > 0, i)",
            "filter",
            "map() takes a variable and an expression, such as "
            "event.data.items.map(i, i.total > 1).",
        ),
        ("has(event)", "filter", "has() takes one field, such as has(event.data.total)."),
        ("event.data{x: 1}", "filter", 'messages are not supported. Use a map: {"a": 1}.'),
        ("{1: 2}", "filter", "keys of a map are strings, as in JSON."),
        ("1u == 1", "filter", "unsigned numbers are not supported. Remove the u."),
        ('b"a"', "filter", "bytes are not supported. Use a string."),
        (
            "9223372036854775808",
            "filter",
            "a whole number must fit in 64 bits. Write it as a double, such as 1e20.",
        ),
        ("1e999", "filter", "a number is too large for a double."),
        (
            r'"\q"',
            "filter",
            "a string has an escape that CEL does not know. Write a backslash as "
            r'\\, or use a raw string such as r"\d".',
        ),
        ("[" + ", ".join(["1"] * 401) + "]", "filter", "it has more than 400 parts. Split it."),
        ("!" * 25 + "true", "filter", "it nests over 24 levels. Split it."),
        ("event.data.x = 1", "filter", 'unexpected "=". Compare with "==".'),
        (
            "(event.data.x",
            "filter",
            "it ends too early; something is missing or a bracket is not closed.",
        ),
        ('"abc', "filter", "a string is not closed. Add the closing quote."),
        ("'abc", "filter", "a string is not closed. Add the closing quote."),
        ("$x", "filter", 'unexpected "$". Write CEL, such as event.data.total > 100.'),
        (
            "event.data.true",
            "filter",
            'unexpected "true". Write CEL, such as event.data.total > 100.',
        ),
        (
            "1" * 1_025,
            "key",
            "it has 1025 characters, but at most 1024 are allowed. "
            "Compare with values that the event carries instead of listing them.",
        ),
        (
            "'" + "\\n" * 11 + "'",
            "filter",
            "it has 11 backslashes, but at most 10 are allowed. "
            "Move the value into the event, or write it without escapes.",
        ),
        (
            "(" * 25 + "1" + ")" * 25,
            "filter",
            "its brackets nest more than 24 deep. Split it, or remove brackets that change nothing.",
        ),
    ],
)
def test_refusals_say_what_to_write_instead(
    source: str, kind: ExpressionKind, problem: str
) -> None:
    with pytest.raises(expressions.ExpressionError) as caught:
        expressions.compile(source, kind=kind)

    assert caught.value.source == source
    assert str(caught.value).endswith(f": {problem}")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (" ", "An expression cannot be empty. Leave it out to match every event."),
        (
            5,
            "An expression must be text, got int. "
            'Write it as a string, such as "event.data.total > 100".',
        ),
    ],
)
def test_what_is_no_expression_is_refused_by_its_type(source: str, text: str) -> None:
    with pytest.raises(expressions.ExpressionError) as caught:
        expressions.compile(source, kind="filter")

    assert str(caught.value) == text


def test_what_the_parser_finds_too_deep_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    class Parser:
        def parse(self, _: str) -> None:
            raise RecursionError

    monkeypatch.setattr(grammar, "_parser_class", Parser)
    source = "event.data.not_yet == 'compiled'"

    with pytest.raises(expressions.ExpressionError) as caught:
        expressions.compile(source, kind="filter")

    assert (caught.value.kind, caught.value.source) == ("limit", source)
    assert str(caught.value) == f'Expression "{source}": it nests too deeply. Split it.'


def test_a_fault_that_the_parser_does_not_place_has_no_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Parser:
        def parse(self, _: str) -> None:
            raise celparser.CELParseError("it is odd")

    monkeypatch.setattr(grammar, "_parser_class", Parser)
    source = "event.data.not_yet == 'parsed'"

    with pytest.raises(expressions.ExpressionError) as caught:
        expressions.compile(source, kind="filter")

    assert (caught.value.kind, caught.value.line, caught.value.column) == ("syntax", None, None)
    assert str(caught.value) == (
        f'Expression "{source}": it cannot be parsed. Write CEL, such as event.data.total > 100.'
    )


def test_a_long_source_is_cut_in_the_message_and_kept_in_the_error() -> None:
    source = "evnt.x == " + " + ".join(["1"] * 100)

    with pytest.raises(expressions.ExpressionError) as caught:
        expressions.compile(source, kind="filter")

    assert str(caught.value).startswith(f'Expression "{source[:200]}…" at line 1, column ')
    assert caught.value.source == source
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_name_that_begins_with_a_dot_is_refused_at_its_place() -> None:
    with pytest.raises(expressions.ExpressionError) as caught:
        expressions.compile("true ||\n .event.data.n == 1", kind="filter")

    assert (caught.value.line, caught.value.column) == (2, 2)
    assert str(caught.value).endswith(
        " at line 2, column 2: a name cannot begin with a dot. Remove it."
    )
