"""``+ - * / %`` and the text of numbers.

Whole numbers stay whole and must fit in 64 bits; a double on either side gives a double.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import cast

from inngest_django.expressions.errors import EvaluationFault, LimitFault
from inngest_django.expressions.literals import INT_MAX, INT_MIN
from inngest_django.expressions.values import Meter, kind_of

MAX_TEXT = 65_536
MAX_ITEMS = 10_000

_LONGEST_INTEGER_BITS = 3_322  # a thousand decimal digits


def add(left: object, right: object, meter: Meter) -> object:
    """Return the sum, or the joined text or list; null adds nothing.

    A string and a number join, because keys such as ``"user-" + event.data.id`` do.
    """
    if left is None:
        return right
    if right is None:
        return left
    kinds = kind_of(left), kind_of(right)
    if kinds == ("number", "number"):
        return _numeric("+", left, right)
    if "string" in kinds and set(kinds) <= {"string", "number"}:
        return _joined(text_of(left), text_of(right), meter)
    if kinds == ("list", "list"):
        items = [*cast("list[object]", left), *cast("list[object]", right)]
        if len(items) > MAX_ITEMS:
            raise LimitFault(f"a joined list has over {MAX_ITEMS} elements.")
        meter.charge(len(items))
        return items
    if set(kinds) in ({"timestamp", "duration"}, {"duration"}):
        return _moment(lambda: left + right)  # type: ignore[operator]  # times, as just checked
    raise _undefined("+", kinds)


def subtract(left: object, right: object) -> object:
    """Return the difference of numbers, timestamps or durations."""
    kinds = kind_of(left), kind_of(right)
    if kinds == ("number", "number"):
        return _numeric("-", left, right)
    if kinds in (
        ("timestamp", "timestamp"),
        ("timestamp", "duration"),
        ("duration", "duration"),
    ):
        return _moment(lambda: left - right)  # type: ignore[operator]  # times, as just checked
    raise _undefined("-", kinds)


def multiply(left: object, right: object) -> object:
    """Return the product of two numbers."""
    return _numeric("*", left, right)


def divide(left: object, right: object) -> object:
    """Return the quotient; of whole numbers rounded towards zero, as in CEL."""
    return _numeric("/", left, right)


def remainder(left: object, right: object) -> object:
    """Return the remainder of whole numbers, with the sign of the left one.

    Only numbers: on text Python's ``%`` formats, and twenty characters make 100 MB.
    """
    return _numeric("%", left, right)


def negate(value: object) -> object:
    """Return the number or duration with the other sign."""
    if isinstance(value, dt.timedelta):
        return -value
    return _numeric("-", 0 if isinstance(value, int) else 0.0, value)


def _numeric(symbol: str, left: object, right: object) -> int | float:
    kinds = kind_of(left), kind_of(right)
    if kinds != ("number", "number"):
        raise _undefined(symbol, kinds)
    one, other = cast("int | float", left), cast("int | float", right)
    if symbol == "%":
        one, other = _whole(one), _whole(other)
    try:
        if isinstance(one, int) and isinstance(other, int):
            result: int | float = _INTEGER[symbol](one, other)
        else:
            result = _DOUBLE[symbol](float(one), float(other))
    except ZeroDivisionError:
        raise EvaluationFault("division by zero.") from None
    except OverflowError:
        raise EvaluationFault("a number is too large.") from None
    if isinstance(result, int):
        if not INT_MIN <= result <= INT_MAX:
            raise EvaluationFault("a whole number does not fit in 64 bits.")
    elif not math.isfinite(result):
        raise EvaluationFault("a number is too large.")
    return result


def _divided(left: int, right: int) -> int:
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remaining(left: int, right: int) -> int:
    return left - right * _divided(left, right)


_INTEGER: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divided,
    "%": _remaining,
}
_DOUBLE: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}


def _whole(number: int | float) -> int:
    if isinstance(number, float):
        if not number.is_integer():
            raise EvaluationFault("% needs whole numbers.")
        return int(number)
    return number


def _moment(compute: Callable[[], object]) -> object:
    try:
        return compute()
    except (OverflowError, TypeError):
        raise EvaluationFault("a time is out of range or has no zone.") from None


def _joined(left: str, right: str, meter: Meter) -> str:
    length = len(left) + len(right)
    if length > MAX_TEXT:
        raise LimitFault(f"a joined text has over {MAX_TEXT} characters.")
    meter.charge(length >> 5)
    return left + right


def text_of(value: object) -> str:
    """Return a string as it is and a number without a needless ``.0``."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise EvaluationFault("a number is not finite.")
        if not value.is_integer():
            return repr(value)
        value = int(value)
    if not isinstance(value, int) or value.bit_length() > _LONGEST_INTEGER_BITS:
        raise EvaluationFault("a number is too large.")
    return str(value)


def _undefined(symbol: str, kinds: tuple[str, str]) -> EvaluationFault:
    return EvaluationFault(f"{symbol} is not defined for {kinds[0]} and {kinds[1]}.")
