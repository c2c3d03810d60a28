"""Functions, row by row."""

from __future__ import annotations

import datetime as dt

import pytest

from inngest_django import clock, expressions
from inngest_django.expressions.values import TYPE_NAMES

ERROR = object()
NOW = dt.datetime(2026, 1, 31, 9, 0, tzinfo=dt.UTC)
LIST = {"data": {"n": None, "list": [1, 2], "map": {"a": 1}, "at": "2026-01-31T09:00:00Z"}}


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc,arg-type]  # a test's shorthand


def check(source: str, expected: object) -> None:
    program = expressions.compile(source, kind="filter")
    try:
        value = program.evaluate(event=LIST, now=NOW)
    except expressions.ExpressionError as error:
        value = ERROR if error.kind == "eval" else error

    assert (type(value), value) == (type(expected), expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"abc".contains("b")', True),
        ('"abc".contains("")', True),
        ('"abc".startsWith("ab")', True),
        ('"abc".endsWith("ab")', False),
        ('"abc".contains(1)', ERROR),
        ('event.data.list.contains("b")', ERROR),
        ('"abc".matches("^a.c$")', True),
        ('matches("xabcx", "b")', True),
        (r'"a1".matches(r"^\w\d$")', True),
        ('"abc".matches("a" + "(")', ERROR),
        ('"abc".matches(event.data.at)', False),
        ('size("héé")', 3),
        ('"😀".size()', 1),
        ("size(event.data.list)", 2),
        ("event.data.map.size()", 1),
        ("size(1)", ERROR),
        ('lowercase("ÀB")', "àb"),
        ('uppercase("aé")', "AÉ"),
        ("lowercase(1)", ERROR),
        ('b64decode("aMOp")', "hé"),
        ('b64decode("aMO")', ERROR),
        ('b64decode("/w==")', ERROR),
        ('b64decode("!!!!")', ERROR),
        ("json_parse('{\"a\": [1, 2.5]}').a[1]", 2.5),
        ("json_parse('NaN')", ERROR),
        ("json_parse('{')", ERROR),
        # A missing argument gives false.
        ('event.data.gone.contains("x")', False),
        ('"x".contains(event.data.gone)', False),
        ('event.data.gone.matches("x")', False),
        ("lowercase(event.data.gone)", False),
        ("int(event.data.gone)", False),
        ("string(null)", False),
        ("date(event.data.gone)", False),
        ("size(event.data.gone)", 0),
        ("event.data.gone.size()", 0),
        ("dyn(event.data.gone)", None),
    ],
)
def test_text_and_size(source: str, expected: object) -> None:
    check(source, expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("int(2.9)", 2),
        ("int(-2.9)", -2),
        ('int("42")', 42),
        ('int("-42")', -42),
        ('int("4.2")', ERROR),
        ('int("٣")', ERROR),
        ("int(1e30)", ERROR),
        ("int(true)", ERROR),
        ("int([1])", ERROR),
        ('bool("f")', False),
        ('int(timestamp("1970-01-01T00:01:00Z"))', 60),
        ("double(2)", 2.0),
        ('double("2.5e1")', 25.0),
        ('double("nan")', ERROR),
        ('double("1_0")', ERROR),
        ('double(" 1")', ERROR),
        ("double(true)", ERROR),
        ("string(true)", "true"),
        ("string(false)", "false"),
        ("string(1)", "1"),
        ("string(1.0)", "1"),
        ("string(2.5)", "2.5"),
        ('string("a")', "a"),
        ('string(duration("90m"))', "5400s"),
        ('string(duration("-1500ms"))', "-1.5s"),
        ('string(timestamp("2026-01-31T10:00:00.500+01:00"))', "2026-01-31T09:00:00.5Z"),
        ("string([1])", ERROR),
        ('bool("true")', True),
        ('bool("1")', True),
        ('bool("False")', False),
        ('bool("yes")', ERROR),
        ("bool(1)", ERROR),
        ("bool(true)", True),
        ("dyn(1)", 1),
        ("type(1) == int", True),
        ("type(1.5) == double", True),
        ('type("a") == string', True),
        ("type(true) == bool", True),
        ("type(event.data.list) == list", True),
        ("type(event.data.map) == map", True),
        ("type(event.data.gone) == null_type", True),
        ('type(duration("1s")) == duration', True),
        ("type(now()) == timestamp", True),
        ("type(int) == type", True),
        ("type(1) == type(1.5)", False),
        ("type(1)", TYPE_NAMES["int"]),
        ("int < string", ERROR),
    ],
)
def test_conversions(source: str, expected: object) -> None:
    check(source, expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("now()", NOW),
        ('now_plus("1h")', utc(2026, 1, 31, 10)),
        ('now_minus("1h30m")', utc(2026, 1, 31, 7, 30)),
        ('now_plus("1d")', utc(2026, 2, 1, 9)),
        ('now_plus("1w")', utc(2026, 2, 7, 9)),
        ('now_plus(duration("-1m"))', utc(2026, 1, 31, 8, 59)),
        ('now_plus("9999w") > now()', True),
        ('now_plus("999999w")', ERROR),
        ("now() == now()", True),
        ("date(event.data.at) == now()", True),
        ("timestamp(event.data.at) <= now()", True),
        ("event.data.at == now()", False),
        ("event.data.at < now()", ERROR),
        ('date("2026-01-31")', utc(2026, 1, 31)),
        ('date("2026-01-31T10:00:00+01:00")', NOW),
        ("date(1769850000)", NOW),
        ("date(1769850000000)", NOW),
        ("date(1769850000000.0)", NOW),
        ("date(1769850000000000000)", NOW),
        ("date(946684800)", utc(2000, 1, 1)),
        ("date(946684799)", ERROR),
        ("date(-1)", ERROR),
        ("date(true)", ERROR),
        ('date("31.01.2026")', ERROR),
        ("date(event.data.at)", NOW),
        ("date(date(event.data.at))", NOW),
        ('timestamp(dyn("2026-02-30T00:00:00Z"))', ERROR),
        ('timestamp(dyn("2026-01-31"))', ERROR),
        ("timestamp(60)", utc(1970, 1, 1, 0, 1)),
        ('timestamp("2026-01-31T09:00:00.123456789Z")', utc(2026, 1, 31, 9, 0, 0, 123456)),
        ('duration("1h30m")', dt.timedelta(minutes=90)),
        ('duration("1.5h")', dt.timedelta(minutes=90)),
        ('duration("-2d")', dt.timedelta(days=-2)),
        ('duration("0")', dt.timedelta()),
        ('string(duration("0"))', "0s"),
        ('string(duration("-1ms"))', "-0.001s"),
        ('duration("+1h") == duration("1h")', True),
        ("date(9999999999)", utc(2286, 11, 20, 17, 46, 39)),
        ("date(10000000000)", utc(1970, 4, 26, 17, 46, 40)),
        ("date(9999999999999) > date(9999999999)", True),
        ("date(10000000000000)", utc(1970, 1, 1, 2, 46, 40)),
        ('duration("100us")', dt.timedelta(microseconds=100)),
        ('duration(dyn("1h 30m"))', ERROR),
        ('duration(dyn("5"))', ERROR),
        ('duration(dyn("999999999w"))', ERROR),
        ("timestamp(9007199254740993000)", ERROR),
        ("timestamp(true)", ERROR),
        ('timestamp(timestamp("2026-01-31T09:00:00Z"))', NOW),
        ("date(1e300)", ERROR),
        ('duration(duration("1h"))', dt.timedelta(hours=1)),
        ('timestamp(dyn("0001-01-01T00:00:00+10:00"))', ERROR),
        ('now() + duration("2000w") * 1', ERROR),
        ('now() + duration("999999w")', ERROR),
        ("duration(5)", ERROR),
        ('duration("1h") < duration("61m")', True),
        ('duration("1h") + duration("30m")', dt.timedelta(minutes=90)),
        ('duration("1h") - duration("20m")', dt.timedelta(minutes=40)),
        ('-duration("1h")', dt.timedelta(hours=-1)),
        ('now() - duration("1h")', utc(2026, 1, 31, 8)),
        ('duration("1h") + now()', utc(2026, 1, 31, 10)),
        ("now() - timestamp(event.data.at)", dt.timedelta()),
        ("now() + now()", ERROR),
        ("now() + 1", ERROR),
        ('duration("1h") - now()', ERROR),
        ('now() > duration("1h")', ERROR),
        ("event.data.gone < now()", ERROR),
    ],
)
def test_times(source: str, expected: object) -> None:
    check(source, expected)


def test_now_is_the_clocks_when_no_time_is_given() -> None:
    program = expressions.compile("now()", kind="filter")

    with clock.frozen(NOW):
        assert program.evaluate(event={}) == NOW


@pytest.mark.parametrize("name", ["b64decode", "json_parse"])
def test_decoding_more_than_64_kb_is_refused(name: str) -> None:
    program = expressions.compile(f"{name}(event.data.x)", kind="filter")

    with pytest.raises(expressions.ExpressionError) as caught:
        program.evaluate(event={"data": {"x": "1" * 65_537}})

    assert caught.value.kind == "limit"


def test_bad_pattern_from_an_event_writes_nothing_to_stderr(
    capfd: pytest.CaptureFixture[str],
) -> None:
    program = expressions.compile("event.data.x.matches(event.data.p)", kind="filter")

    assert program.matches(event={"data": {"x": "a", "p": "("}}) is False
    assert capfd.readouterr().err == ""


def test_long_pattern_from_an_event_is_refused() -> None:
    program = expressions.compile("event.data.x.matches(event.data.p)", kind="filter")

    with pytest.raises(expressions.ExpressionError) as caught:
        program.evaluate(event={"data": {"x": "a", "p": "a" * 201}})

    assert caught.value.kind == "limit"


def test_pattern_and_text_with_lone_surrogates_have_no_value() -> None:
    program = expressions.compile("event.data.x.matches(event.data.p)", kind="filter")

    assert not program.matches(event={"data": {"x": "\ud800", "p": "a"}})
    assert not program.matches(event={"data": {"x": "a", "p": "\ud800"}})
