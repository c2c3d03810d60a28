"""What is refused when an expression is compiled, and what the author is told."""

from __future__ import annotations

import contextlib
import pickle

import hypothesis
import pytest
from hypothesis import strategies as st

from inngest_django import errors, expressions
from inngest_django.expressions import grammar
from inngest_django.expressions.validation import ExpressionKind


def refused(source: str, kind: ExpressionKind = "filter") -> expressions.ExpressionError:
    with pytest.raises(expressions.ExpressionError) as caught:
        expressions.compile(source, kind=kind)
    return caught.value


@pytest.fixture
def no_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(text: str, *, source: str) -> None:
        pytest.fail("the parser was called")

    monkeypatch.setattr(grammar, "parse", parse)


@pytest.mark.usefixtures("no_parser")
@pytest.mark.parametrize(
    ("source", "kind", "part"),
    [
        ('"' + "\\" * 40, "filter", "backslashes"),
        ('"' + "\\n" * 11, "filter", "backslashes"),
        ("1 == " + "1" * 2_048, "wait", "2053 characters"),
        ("1 == " + "1" * 1_024, "key", "at most 1024"),
        ("(" * 25 + "1" + ")" * 25, "filter", "brackets nest"),
        ("[" * 25, "filter", "brackets nest"),
        ('"' + "(" * 25 + '"', "filter", "brackets nest"),
    ],
)
def test_guard_refuses_before_the_parser_sees_it(
    source: str, kind: ExpressionKind, part: str
) -> None:
    error = refused(source, kind)

    assert error.kind == "limit"
    assert part in str(error)


@pytest.mark.usefixtures("no_parser")
@pytest.mark.parametrize("source", ["", "  \n"])
def test_empty_source_is_refused_before_the_parser_sees_it(source: str) -> None:
    assert refused(source).kind == "syntax"


@pytest.mark.usefixtures("no_parser")
def test_source_that_is_no_text_is_refused() -> None:
    assert refused(5).kind == "invalid"  # type: ignore[arg-type]  # the point of the test


def test_many_brackets_side_by_side_are_allowed() -> None:
    source = " || ".join("(event.data.x == [1])" for _ in range(30))

    assert expressions.compile(source, kind="filter").matches(event={"data": {"x": [1]}})


def test_unterminated_long_string_of_carriage_returns_is_refused_quickly() -> None:
    # Unless line ends are made one, this takes 2 ** 60 steps.
    assert refused('"""' + "\r" * 60).kind == "syntax"
    assert refused('"""' + "\r\n" * 60).kind == "syntax"


@pytest.mark.parametrize(
    ("source", "place", "part"),
    [
        ("event.data.x = 1", (1, 14), 'Compare with "=="'),
        ("event.data.x ==", (1, 14), "ends too early"),
        ("(event.data.x", (1, 13), "ends too early"),
        ("true &&\n && false", (2, 2), 'unexpected "&&"'),
        ('event.data.x == "abc', (1, 17), "not closed"),
        ("$x", (1, 1), 'unexpected "$"'),
        ("event.data.true", (None, None), 'unexpected "true"'),
        ("event.?data", (1, 7), 'unexpected "?"'),
    ],
)
def test_syntax_error_names_the_place(
    source: str, place: tuple[int | None, int | None], part: str
) -> None:
    error = refused(source)

    assert error.kind == "syntax"
    assert error.source == source
    assert source in str(error)
    assert (error.line, error.column) == place
    assert part in str(error)


@pytest.mark.parametrize(
    ("source", "kind", "part"),
    [
        ("evnt.data.x", "filter", "Did you mean event?"),
        ("asynch.data.x == 1", "wait", "Did you mean async?"),
        ("vars.x", "filter", 'unknown name "vars"'),
        ("google", "filter", 'unknown name "google"'),
        ("async.data.x == 1", "filter", "a trigger filter has only"),
        ("async.data.x", "key", "a key has only"),
        ("async.data.x", "priority", "a priority has only"),
        ("lowercas(event.name)", "filter", "Did you mean lowercase?"),
        ("uuid()", "filter", "unknown function uuid()"),
        ("event.data.l.reduce(a, b)", "filter", "unknown function reduce()"),
        ("event.data.l.min()", "filter", "unknown function min()"),
        ("event.name.split(',')", "filter", "unknown function split()"),
        ("cel.bind(x, 1, x)", "filter", "unknown function bind()"),
        ("optional.of(1)", "filter", "unknown function of()"),
        ("event.name.lowercase()", "filter", "Write lowercase(value)"),
        ('contains(event.name, "a")', "filter", "Write value.contains(...)"),
        ("size()", "filter", "takes 1 argument(s), got 0"),
        ("event.name.contains()", "filter", "takes 1 argument(s), got 0"),
        ("now(1)", "filter", "takes 0 argument(s), got 1"),
        ("now()", "key", "changes with time"),
        ('string(now_plus("1h"))', "key", "changes with time"),
        ('event.name.matches("(")', "filter", "RE2"),
        (r'event.name.matches(r"(a)\1")', "filter", "RE2"),
        ('duration("1 day") > duration("1s")', "filter", "duration cannot be read"),
        ('now_minus("soon")', "filter", "duration cannot be read"),
        ('timestamp("2026-01-31")', "filter", "RFC 3339"),
        ("exists(event.data.l, true)", "filter", "called on a list"),
        ("event.data.l.map(i, i > 0, i)", "filter", "takes a variable and"),
        ("event.data.l.exists(i.j, true)", "filter", "takes a variable and"),
        ("event.data.l.exists(int, true)", "filter", "takes a variable and"),
        ("event.data.l.exists(event, true)", "filter", "cannot name a variable"),
        ("event.data.l.exists(async, true)", "filter", "cannot name a variable"),
        ("event.data.l.exists(for, true)", "filter", "cannot name a variable"),
        ("event.data.l.exists(i, true) && i", "filter", 'unknown name "i"'),
        ("has(event)", "filter", "has() takes one field"),
        ("has(event.data.l[0])", "filter", "has() takes one field"),
        ("has(event.data, event.name)", "filter", "has() takes one field"),
        ("has(size(event.name))", "filter", "has() takes one field"),
        ("1u == 1", "filter", "unsigned"),
        ('b"a"', "filter", "bytes"),
        ("9223372036854775808", "filter", "64 bits"),
        ("1" * 200, "filter", "64 bits"),
        ("1e999", "filter", "too large"),
        (r'"\q"', "filter", "escape"),
        (r'"\ud800"', "filter", "escape"),
        (r'"\x4"', "filter", "escape"),
        (r'"\400"', "filter", "escape"),
        (r'"\U00110000"', "filter", "escape"),
        ('"a\\" == event.name', "filter", "escape"),
        ("{1: 2}", "filter", "keys of a map are strings"),
        ("event.data{x: 1}", "filter", "messages"),
        (".event.data", "filter", "begin with a dot"),
        (".size(event.name)", "filter", "begin with a dot"),
    ],
)
def test_outside_the_dialect_is_refused_with_a_remedy(
    source: str, kind: ExpressionKind, part: str
) -> None:
    error = refused(source, kind)

    assert error.kind == "invalid"
    assert part in str(error)
    assert source in str(error)
    assert error.line == 1


@pytest.mark.parametrize(
    "source",
    [
        "[" + ", ".join("1" * 1 for _ in range(401)) + "]",
        "!" * 25 + "true",
        "1" + " + 1" * 24,
        "".join("true ? 1 : " for _ in range(24)) + "2",
        'event.name.matches("' + "a" * 201 + '")',
    ],
)
def test_too_much_is_refused(source: str) -> None:
    assert refused(source).kind == "limit"


def test_depth_that_a_string_hides_from_the_guard_is_refused() -> None:
    source = "['))', [" * 40 + "1" + "]]" * 40

    assert refused(source).kind == "limit"


@pytest.mark.parametrize(
    "source",
    [
        " && ".join(["true"] * 150),
        " || ".join(["false"] * 150),
        "event.data" + ".a" * 900,
        "event.data" + "[0]" * 300,
    ],
)
def test_long_chains_are_no_deep_nesting(source: str) -> None:
    if "||" in source or "&&" in source:
        expected: object = "&&" in source
    else:
        expected = None

    assert expressions.compile(source, kind="filter").evaluate(event={}) is expected


def test_nested_macro_is_refused_and_chained_macros_are_not() -> None:
    nested = "event.data.l.all(x, event.data.l.exists(y, x == y))"
    chained = "event.data.l.filter(x, x > 1).exists(y, y == 2)"

    assert "inside another macro" in str(refused(nested))
    assert expressions.compile(chained, kind="filter").matches(event={"data": {"l": [1, 2]}})


def test_unknown_kind_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="kind must be"):
        expressions.compile("true", kind="condition")  # type: ignore[arg-type]  # the point


def test_error_is_stored_and_shown_like_any_other() -> None:
    error = refused("evnt.x")

    assert isinstance(error, errors.InngestError)
    assert (error.code, error.is_retriable) == ("expression_invalid", False)
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert (copy.kind, copy.source, copy.line, copy.column) == ("invalid", "evnt.x", 1, 1)


def test_long_source_is_shortened_in_messages() -> None:
    error = refused("evnt.x == 1 || " + "true || " * 100 + "true")

    assert len(str(error)) < 450
    assert "…" in str(error)


PIECES = st.sampled_from(
    [*"()[]{}.,?:!-+*/%<>=\"'\\ \n\r", "event", "async", "data", "&&", "||", "==", " in ", "null",
     "true", '"""', 'r"', "exists(i, i)", "has(event.x)", "size", "1", "1.5", "now()", "1u", "é"]
)  # fmt: skip


@hypothesis.settings(max_examples=300, deadline=None, derandomize=True, database=None)
@hypothesis.given(st.lists(PIECES, max_size=14).map("".join))
def test_any_text_compiles_or_is_refused_with_an_error_of_ours(source: str) -> None:
    with contextlib.suppress(expressions.ExpressionError):
        program = expressions.compile(source, kind="wait")
        program.matches(event={"data": {}, "x": 1})
