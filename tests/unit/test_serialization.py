"""JSON in and out: what is stored is ASCII, is JSON, and comes back as it was."""

from __future__ import annotations

import math

import hypothesis
import pytest
from hypothesis import strategies as st

from inngest_django import serialization

TEXTS = st.text(st.characters(exclude_categories=[]))  # lone surrogates included
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@hypothesis.given(VALUES)
def test_values_come_back_as_they_were(value: object) -> None:
    text = serialization.dumps(value)

    assert text.isascii()
    assert serialization.is_storable(text)
    assert serialization.loads(text) == value
    assert serialization.loads(text.encode()) == value


def test_json_is_compact_and_keeps_the_order_of_keys() -> None:
    assert serialization.dumps({"b": [1, "é"], "a": None}) == '{"b":[1,"\\u00e9"],"a":null}'


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_no_json_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        serialization.dumps([value])
    with pytest.raises(ValueError, match="not JSON compliant"):
        serialization.utf8_size([value])


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_names_that_are_no_json_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is not a JSON value$"):
        serialization.loads(f"[{name}]")
    with pytest.raises(ValueError, match=f"^{name} is not a JSON value$"):
        serialization.loads(f"[{name}]".encode())


def test_bytes_are_read_in_their_encoding() -> None:
    assert serialization.loads('["é"]'.encode("utf-16")) == ["é"]


def test_text_that_no_column_takes_is_found_and_marked() -> None:
    assert serialization.is_storable("naïve 🎉")
    assert not serialization.is_storable("a\x00b")
    assert not serialization.is_storable("a\ud800b")
    assert not serialization.is_storable("a\udfffb")
    assert serialization.storable("a\x00b\udfffc🎉") == "a\ufffdb\ufffdc🎉"


@pytest.mark.parametrize(
    ("value", "size"),
    [("", 2), ("é", 4), ("🎉", 6), ("\ud800", 5), ([1, 2], 5), ({"a": 1, "b": 2}, 13)],
)
def test_sizes_are_of_compact_utf8(value: object, size: int) -> None:
    assert serialization.utf8_size(value) == size


@pytest.mark.parametrize(
    ("value", "depth"),
    [
        (1, 0),
        ("text", 0),
        (b"bytes", 0),
        ([], 1),
        ({}, 1),
        ((), 1),
        ([1, "text"], 1),
        ([["a"], "text"], 2),
        (["text", b"x", {"a": 1}], 2),
        ([1, [2]], 2),
        ({"a": {"b": [1]}}, 3),
        ([{"a": 1}, {"b": [{}]}], 4),
    ],
)
def test_depth_counts_lists_and_objects(value: object, depth: int) -> None:
    assert serialization.depth(value, limit=10) == depth


def test_depth_counts_no_further_than_it_is_asked_to() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]

    assert serialization.depth(value, limit=5) == 6
    while value:  # taken apart by hand: the interpreter would do it on its stack
        [value] = value  # type: ignore[assignment]
