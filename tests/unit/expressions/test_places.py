"""Parts of an expression know the line and column they were written at."""

from __future__ import annotations

import pytest

from inngest_django import expressions
from inngest_django.expressions import grammar, lowering
from inngest_django.expressions.nodes import walk


def places(source: str) -> list[tuple[str, object]]:
    node = lowering.lower(grammar.parse(source, source=source), source=source)
    return [(type(part).__name__, part.at) for part in walk(node)]


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        ("1", "Literal"),
        ("-1", "Literal"),
        ("int", "Literal"),
        ("event", "Path"),
        ("event.a[0].b", "Path"),
        ("size(event).a", "Select"),
        ("event[event.n]", "Index"),
        ("has(event.a)", "Has"),
        ("!event.a", "Not"),
        ("-event.a", "Negative"),
        ("event.a && event.b && event.c", "Logic"),
        ("event.a || event.b", "Logic"),
        ("1 + 2", "Binary"),
        ("1 * 2", "Binary"),
        ("1 < 2", "Binary"),
        ("event.a ? 1 : 2", "Condition"),
        ("[1]", "ListOf"),
        ('{"a": 1}', "MapOf"),
        ("size(event)", "Call"),
        ('event.contains("a")', "Call"),
        ("event.all(i, i)", "Macro"),
    ],
)
def test_a_part_is_where_it_begins(source: str, kinds: str) -> None:
    inside = places(f"[\n\n  1,\n    {source}]")

    assert inside[0] == ("ListOf", (1, 1))
    assert inside[1] == ("Literal", (3, 3))
    assert inside[2] == (kinds, (4, 5))


def test_every_part_counts_its_own_children() -> None:
    assert places("event.a +\n  size(event.b)") == [
        ("Binary", (1, 1)),
        ("Path", (1, 1)),
        ("Call", (2, 3)),
        ("Path", (2, 8)),
    ]


def test_empty_lists_and_maps_are_where_they_begin() -> None:
    assert places("[\n  [], {}]") == [
        ("ListOf", (1, 1)),
        ("ListOf", (2, 3)),
        ("MapOf", (2, 7)),
    ]


def test_only_true_and_false_have_no_place() -> None:
    # cel-python's parser drops it; what begins with one has none either.
    assert places("[event.a, true, null]")[1:] == [
        ("Path", (1, 2)),
        ("Literal", (None, None)),
        ("Literal", (1, 17)),
    ]
    with pytest.raises(expressions.ExpressionError) as caught:
        expressions.compile("{true: 1}", kind="filter")
    assert str(caught.value) == 'Expression "{true: 1}": keys of a map are strings, as in JSON.'
