"""Octal escapes and the signs of converted numbers, at their edges."""

from __future__ import annotations

import pytest

from inngest_django import expressions


def value_of(source: str) -> object:
    return expressions.compile(source, kind="filter").evaluate(event={"data": {}})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (r'"\101"', "A"),
        (r'"\101b"', "Ab"),
        (r'"\000"', "\x00"),
        (r'"\377"', "ÿ"),
        (r'"\x41B"', "AB"),
    ],
)
def test_escapes_by_number(source: str, expected: str) -> None:
    assert value_of(source) == expected


@pytest.mark.parametrize("source", [r'"\400"', r'"\18"', r'"\1"', r'"\x4"', r'"\ud800"'])
def test_escapes_of_no_character_are_refused(source: str) -> None:
    with pytest.raises(expressions.ExpressionError, match="escape that CEL does not know"):
        value_of(source)


@pytest.mark.parametrize(("source", "expected"), [('int("-5")', -5), ('int("-12")', -12)])
def test_signs_of_converted_numbers(source: str, expected: int) -> None:
    assert value_of(source) == expected


@pytest.mark.parametrize("source", ['int("-")', 'int("--5")', 'int("-a")', 'int("-5a")'])
def test_what_is_no_number_is_not_converted(source: str) -> None:
    with pytest.raises(expressions.ExpressionError, match="cannot convert this string"):
        value_of(source)
