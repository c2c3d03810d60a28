"""Canonical bytes: equal values, equal bytes; other values, other bytes."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest

from inngest_django import expressions
from inngest_django.expressions import encoding
from inngest_django.expressions.evaluation import Evaluation
from inngest_django.expressions.values import TYPE_NAMES, equal

VALUES: list[object] = [
    None, True, False, 0, -0.0, 1, 1.0, -1, 1.5, 2**53, float(2**53), 2**53 + 1, 1e300,
    int(1e300), 0.1, "", "1", "a", "é", "e\u0301", "i1", "\ud800", "😀", [], [1], [1.0],
    [[1]], ["a", "b"], ["ab"], {}, {"a": 1}, {"a": 1.0}, {"a": None}, {"b": 1},
    {"a": 1, "b": 2}, {"b": 2, "a": 1}, [None], [True], {"a": [1, {"b": "c"}]},
]  # fmt: skip


def test_bytes_are_equal_exactly_when_values_are() -> None:
    meter = Evaluation(None)
    for left, right in itertools.product(VALUES, VALUES):
        same = equal(left, right, meter)

        assert (expressions.canonical(left) == expressions.canonical(right)) is same
        assert (encoding.indexable(left) == encoding.indexable(right)) is same


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, b"n"),
        (True, b"b1"),
        (1.0, b"i1"),
        (-0.0, b"i0"),
        ("é", b"s2:\xc3\xa9"),
        ([1, "a"], b"l2:i1s1:a"),
        ({"b": None, "a": 1}, b"m2:s1:ai1s1:bn"),
        (1.5, b"d\x3f\xf8\x00\x00\x00\x00\x00\x00"),
        (dt.timedelta(seconds=90), b"u90s"),
        (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), b"t2026-01-01T00:00:00Z"),
        (TYPE_NAMES["int"], b"yint"),
    ],
)
def test_encoding_never_changes_because_keys_are_stored(value: object, expected: bytes) -> None:
    assert expressions.canonical(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        pytest.param(10**5_000, id="huge"),
        [[[[[1]]]]],
        list(range(64)),
        dt.timedelta(1),
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        object(),
    ],
)
def test_unwieldy_values_are_not_indexable(value: object) -> None:
    assert encoding.indexable(value) is None


@pytest.mark.parametrize("value", [float("nan"), pytest.param(10**5_000, id="huge"), object()])
def test_values_without_canonical_bytes_are_refused(value: object) -> None:
    with pytest.raises(expressions.ExpressionError):
        expressions.canonical(value)
