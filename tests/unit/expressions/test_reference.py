"""Our evaluator against cel-python's interpreter, wherever both have a value.

Where they differ on purpose, the difference is listed, so that the list stays honest.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import celpy
import celpy.celtypes as celtypes
import pytest
from celpy.adapter import json_to_cel

from inngest_django import expressions

EVENT: dict[str, Any] = {
    "name": "a/b",
    "data": {
        "i": 7,
        "j": -3,
        "f": 2.5,
        "s": "abc",
        "t": "b",
        "yes": True,
        "no": False,
        "null": None,
        "l": [1, 2, 3],
        "m": {"k": "v", "n": {"deep": 1}},
        "items": [{"n": 1, "s": "x"}, {"n": 2, "s": "y"}],
    },
}
OTHER: dict[str, Any] = {"data": {"i": 7, "s": "abc", "l": [3]}}

NUMBERS = ("event.data.i", "event.data.j", "event.data.f", "2", "-1", "0.5")
TEXTS = ("event.data.s", "event.data.t", '"b"', '""')
BOOLS = ("event.data.yes", "event.data.no", "true", "1 / 0 == 1", "event.data.i > 0")
ANY = (
    *NUMBERS,
    *TEXTS,
    *BOOLS[:3],
    "event.data.null",
    "event.data.l",
    "event.data.m",
    "event.data.gone",
)

SOURCES = [
    *(
        f"{a} {op} {b}"
        for a in NUMBERS
        for b in NUMBERS
        for op in ["+", "-", "*", "/", "%", "==", "!=", "<", ">="]
    ),
    *(
        f"{a} {op} {b}"
        for a in TEXTS
        for b in TEXTS
        for op in ["+", "==", "!=", "<", "<=", ">", ">="]
    ),
    *(f"{a} {op} {b}" for a in BOOLS for b in BOOLS for op in ("&&", "||", "==")),
    *(f"{a} {op} {b}" for a in ANY for b in ANY for op in ("==", "!=", "in")),
    *(f"!({a})" for a in BOOLS),
    *(f"{a} ? 1 : 2" for a in BOOLS),
    *(f"{f}({a})" for a in ANY for f in ["size", "int", "double", "string", "bool", "type", "dyn"]),
    *(
        f"{a}.{f}({b})"
        for a in TEXTS
        for b in TEXTS
        for f in ["contains", "startsWith", "endsWith", "matches"]
    ),
    *(
        f"event.data.{p}"
        for p in ["i", "m.k", "m.n.deep", "l[1]", 'm["k"]', "items[0].n", 'items[1]["s"]']
    ),
    *(
        f"has(event.data.{p})"
        for p in ["i", "null", "gone", "m.k", "m.gone", "m.n.deep", "gone.deep"]
    ),
    *(
        f"event.data.items.{macro}(x, {body})"
        for macro in ["exists", "all", "exists_one", "filter"]
        for body in ("x.n > 1", "x.n > 0", 'x.s == "z"', "has(x.n)", "x.n / 0 == 1")
    ),
    "event.data.items.map(x, x.n * 2)",
    "event.data.l.map(x, x + event.data.i)",
    "event.data.m.exists(k, k == 'k')",
    "event.data.i == async.data.i && event.data.s == async.data.s",
    "event.data.l[2] in async.data.l || async.data.i < 0",
    "async['data'].l[0] == 3",
    "[1, 2] + [3] == event.data.l",
    '{"k": "v"}.k == event.data.m.k',
    '{"a": [1, {"b": 2}]}',
    r'"\n\t\\\"\x41\u00e9\101" + ' + r"'\''",
    r'r"\d" + """a"b"""',
    "0x10 + -0x10",
    "1.5e3",
    "1 + 2 * 3 - 4 / 2 % 3",
    "(1 + 2) * (3 - 4)",
    "10 - 3 - 2",
    "true || false && false",
    "1 < 2 == true",
    "false ? 1 : false ? 2 : 3",
    'timestamp("2026-01-31T09:00:00Z") < timestamp("2026-01-31T10:00:00+00:30")',
    'timestamp("2026-01-31T09:00:00Z") + duration("1h30m") == timestamp("2026-01-31T10:30:00Z")',
    'timestamp("2026-01-31T10:00:00Z") - timestamp("2026-01-31T09:00:00Z") == duration("60m")',
    'duration("1h") + duration("30m") == duration("90m")',
    'duration("1h") < duration("61m")',
    'int(timestamp("1970-01-01T00:01:00Z"))',
    'matches("abc", "b.")',
]

# What differs on purpose: cel-python is not CEL there, or Inngest wants it otherwise.
DIFFERENT: dict[str, set[str]] = {
    "a boolean is no number": {
        *(f"event.data.yes {op} {b}" for op in ("==", "!=") for b in NUMBERS),
        *(f"{f}({a})" for f in ("int", "double") for a in BOOLS),
        *(f"{a} == event.data.i > 0" for a in BOOLS),
    },
    "a number is no truth value": {f"bool({a})" for a in NUMBERS},
    "whole and other numbers divide as doubles": {
        f"{a} {op} {b}" for a in NUMBERS for b in ("event.data.f", "0.5") for op in "/%"
    },
    "booleans and whole doubles are spelt as in CEL": {f"string({a})" for a in BOOLS},
    "lists and maps have no text": {f"string(event.data.{name})" for name in "lm"},
    "functions give false on null": {
        f"{f}(event.data.null)" for f in ("bool", "int", "double", "string")
    },
    "a string has no elements": {f"{a} in {b}" for a in ANY for b in TEXTS},
}


@pytest.fixture(scope="module")
def environment() -> Iterator[celpy.Environment]:
    limit = sys.getrecursionlimit()
    # cel-python sets a lower limit and never sets it back.
    created = celpy.Environment(runner_class=celpy.InterpretedRunner)
    yield created
    sys.setrecursionlimit(limit)


def native(value: Any) -> Any:
    match value:
        case celtypes.BoolType() | bool():
            return bool(value)
        case celtypes.IntType():
            return int(value)
        case celtypes.DoubleType():
            return float(value)
        case celtypes.StringType():
            return str(value)
        case celtypes.ListType():
            return [native(item) for item in value]
        case celtypes.MapType():
            return {str(key): native(item) for key, item in value.items()}
        case _:
            return value


def test_same_value_wherever_both_have_one(environment: celpy.Environment) -> None:
    activation = {"event": json_to_cel(EVENT), "async": json_to_cel(OTHER)}
    compared = 0
    different = {}
    for source in SOURCES:
        try:
            program = environment.program(environment.compile(source))
            theirs = native(program.evaluate(activation))
        except Exception:
            continue  # its errors are the reason for an evaluator of our own
        try:
            ours = expressions.compile(source, kind="wait").evaluate(event=EVENT, arriving=OTHER)
        except expressions.ExpressionError as error:
            ours = error
        if isinstance(theirs, type) or callable(theirs):
            continue  # types have no common form
        compared += 1
        if (type(ours), ours) != (type(theirs), theirs):
            different[source] = (ours, theirs)

    known = set().union(*DIFFERENT.values())
    assert compared > 500
    assert {source: values for source, values in different.items() if source not in known} == {}
    for reason, sources in DIFFERENT.items():
        assert sources & different.keys(), reason
