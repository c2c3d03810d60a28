"""The values of the dialect: what they are, how they are reached and compared.

Values are JSON as Python reads it, plus aware datetimes, timedeltas and names of types.
A missing field is null everywhere except in ``has()``.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

from inngest_django.expressions.errors import EvaluationFault, LimitFault

MAX_DATA_DEPTH = 64


class Meter(Protocol):
    """Counts the work of one evaluation."""

    def charge(self, amount: int) -> None:
        """Take ``amount`` from the budget, or raise ``LimitFault``."""


@dataclasses.dataclass(frozen=True, slots=True)
class TypeName:
    """What ``type(x)`` returns."""

    name: str


TYPE_NAMES = {
    name: TypeName(name)
    for name in (
        "bool",
        "double",
        "duration",
        "int",
        "list",
        "map",
        "null_type",
        "string",
        "timestamp",
        "type",
    )
}

_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "bool",
    int: "number",
    float: "number",
    str: "string",
    list: "list",
    tuple: "list",
    dict: "map",
    dt.datetime: "timestamp",
    dt.timedelta: "duration",
    TypeName: "type",
}
_ZEROES: dict[str, object] = {"number": 0, "string": ""}
_NUMBERS = (int, float)
ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def kind_of(value: object) -> str:
    """Return the name of the value's kind; int and double are both ``number``.

    Raises:
        EvaluationFault: The value is nothing JSON could hold.
    """
    kind = _KINDS.get(type(value))
    if kind is not None:
        return kind
    for python_type, name in _KINDS.items():
        if isinstance(value, python_type):
            return name
    if isinstance(value, Mapping):
        return "map"
    raise EvaluationFault(f"values of type {type(value).__name__} are not supported.")


def type_of(value: object) -> TypeName:
    """Return the CEL type, in which int and double differ."""
    kind = kind_of(value)
    if kind == "number":
        kind = "double" if isinstance(value, float) else "int"
    return TYPE_NAMES["null_type" if kind == "null" else kind]


def step_into(value: object, segment: object) -> object:
    """Return the field or element, or None when there is none.

    Raises:
        EvaluationFault: A character of a string is asked for.
    """
    if isinstance(value, Mapping):
        return value.get(segment) if isinstance(segment, str) else None
    if isinstance(segment, float) and segment.is_integer():
        segment = int(segment)
    if isinstance(segment, bool) or not isinstance(segment, int):
        return None
    if isinstance(value, list | tuple):
        return value[segment] if 0 <= segment < len(value) else None
    if isinstance(value, str):
        raise EvaluationFault("a string has no elements. Use contains() or matches().")
    return None


def follow(value: object, segments: Sequence[object]) -> object:
    """Return what is at the end of a path, or None when there is nothing."""
    for segment in segments:
        if value is None:
            return None
        value = step_into(value, segment)
    return value


def equal(left: object, right: object, meter: Meter, depth: int = 0) -> bool:
    """Return whether two values are equal; different kinds are unequal, not an error.

    Numbers compare exactly, so that 1 equals 1.0 and a 64-bit id its own double only
    when that double is the same number.
    """
    if left is None or right is None:
        return left is right
    if type(left) is str and type(right) is str:
        return left == right
    kind = kind_of(left)
    if kind != kind_of(right):
        return False
    if kind not in ("list", "map"):
        return bool(left == right)
    if depth >= MAX_DATA_DEPTH:
        raise LimitFault(f"a compared value nests over {MAX_DATA_DEPTH} levels.")
    if kind == "list":
        return _equal_lists(
            cast("Sequence[object]", left), cast("Sequence[object]", right), meter, depth
        )
    return _equal_maps(
        cast("Mapping[str, object]", left),
        cast("Mapping[str, object]", right),
        meter,
        depth,
    )


def _equal_lists(left: Sequence[object], right: Sequence[object], meter: Meter, depth: int) -> bool:
    if len(left) != len(right):
        return False
    meter.charge(len(left))
    return all(equal(one, other, meter, depth + 1) for one, other in zip(left, right, strict=True))


def _equal_maps(
    left: Mapping[str, object], right: Mapping[str, object], meter: Meter, depth: int
) -> bool:
    if left.keys() != right.keys():
        return False
    meter.charge(len(left))
    return all(equal(left[key], right[key], meter, depth + 1) for key in left)


def ordered(symbol: str, left: object, right: object) -> bool:
    """Return ``left < right`` and the like; null counts as the other side's zero.

    Raises:
        EvaluationFault: The two kinds have no order.
    """
    if type(left) not in _NUMBERS or type(right) not in _NUMBERS:
        left, right = _comparable(left, right)
    return ORDERINGS[symbol](left, right)


def _comparable(left: object, right: object) -> tuple[object, object]:
    kind, other = kind_of(left), kind_of(right)
    if kind == "null" and other == "null":
        return 0, 0
    if kind == "null":
        left, kind = _ZEROES.get(other), other
    elif other == "null":
        right, other = _ZEROES.get(kind), kind
    if left is None or right is None or kind != other:
        raise EvaluationFault(f"{kind_of(left)} and {kind_of(right)} have no order.")
    if kind in ("list", "map", "type"):
        raise EvaluationFault(f"values of kind {kind} have no order.")
    return left, right


def contained(item: object, container: object, meter: Meter) -> bool:
    """Return whether a list holds an equal element, or a map the key.

    Raises:
        EvaluationFault: The right side is neither, nor missing.
    """
    if isinstance(container, Mapping):
        return isinstance(item, str) and item in container
    if isinstance(container, list | tuple):
        meter.charge(len(container))
        return any(equal(item, element, meter) for element in container)
    if container is None:
        return False
    raise EvaluationFault(f"in needs a list or a map, got {kind_of(container)}.")
