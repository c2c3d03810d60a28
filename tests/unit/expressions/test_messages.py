"""What the errors of evaluation say: the function, what it got, and the place."""

from __future__ import annotations

import pickle

import pytest

from inngest_django import expressions

EVENT = {"data": {"n": 1, "text": "a", "list": [1], "half": "\ud800", "big": 2**63 - 1}}


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
    ],
)
def test_problems_name_the_function_and_what_it_got(source: str, problem: str) -> None:
    assert problem_of(source) == problem


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
