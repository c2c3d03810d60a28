"""The functions of the dialect.

A function whose argument is missing returns false, as in Inngest; the table says which
ones look at null themselves. Patterns run on RE2, which is linear; never on ``re``.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import functools
import math
import re
from collections.abc import Callable
from typing import Protocol, cast

from inngest_django import serialization
from inngest_django.expressions import times
from inngest_django.expressions.arithmetic import text_of
from inngest_django.expressions.errors import EvaluationFault, LimitFault
from inngest_django.expressions.evaluation import Evaluation
from inngest_django.expressions.literals import INT_MAX, INT_MIN
from inngest_django.expressions.values import kind_of, type_of

MAX_PATTERN = 200
MAX_DECODED = 65_536

_DOUBLE_TEXT = re.compile(
    r"[+-]?([0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})([eE][+-]?[0-9]{1,4})?"
)
_TRUE = frozenset({"1", "t", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "false", "FALSE", "False"})


class Pattern(Protocol):
    """The part of a compiled RE2 pattern that is used; the library has no types."""

    def search(self, text: str) -> object | None:
        """Return something when the pattern occurs in the text."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """A function as the validator and the compiler see it.

    ``run`` takes the evaluation and the arguments, the target of a method first.
    """

    run: Callable[..., object]
    arity: int
    as_function: bool = True
    as_method: bool = False
    is_volatile: bool = False
    takes_null: bool = False


def pattern(text: str) -> Pattern:
    """Return the compiled pattern.

    Raises:
        EvaluationFault: It is no RE2 pattern.
        LimitFault: It is longer than 200 characters.
    """
    if len(text) > MAX_PATTERN:
        raise LimitFault(f"a pattern has over {MAX_PATTERN} characters.")
    return _compiled(text)


@functools.lru_cache(maxsize=512)
def _compiled(text: str) -> Pattern:
    # A C++ library that few expressions need; it comes with cel-python.
    import re2  # type: ignore[import-untyped]

    options = re2.Options()
    # RE2 reports bad patterns on stderr besides raising.
    options.log_errors = False
    try:
        return cast("Pattern", re2.compile(text, options))
    except (re2.error, UnicodeError):
        raise EvaluationFault("a pattern is not valid RE2 syntax.") from None


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise EvaluationFault(f"{name}() needs a string, got {kind_of(value)}.")
    return value


def _contains(e: Evaluation, text: object, part: object) -> bool:
    whole = _text(text, "contains")
    e.charge(len(whole) >> 5)
    return _text(part, "contains") in whole


def _starts_with(_: Evaluation, text: object, part: object) -> bool:
    return _text(text, "startsWith").startswith(_text(part, "startsWith"))


def _ends_with(_: Evaluation, text: object, part: object) -> bool:
    return _text(text, "endsWith").endswith(_text(part, "endsWith"))


def _matches(e: Evaluation, text: object, expression: object) -> bool:
    whole = _text(text, "matches")
    e.charge(len(whole) >> 3)
    try:
        return pattern(_text(expression, "matches")).search(whole) is not None
    except UnicodeError:
        raise EvaluationFault("a string is not valid Unicode.") from None


def _size(_: Evaluation, value: object) -> int:
    if value is None:
        return 0
    if kind_of(value) not in ("string", "list", "map"):
        raise EvaluationFault(f"size() is not defined for {kind_of(value)}.")
    return len(value)  # type: ignore[arg-type]  # a sized kind, as just checked


def _lowercase(e: Evaluation, value: object) -> str:
    text = _text(value, "lowercase")
    e.charge(len(text) >> 5)
    return text.lower()


def _uppercase(e: Evaluation, value: object) -> str:
    text = _text(value, "uppercase")
    e.charge(len(text) >> 5)
    return text.upper()


def _b64decode(e: Evaluation, value: object) -> str:
    text = _decodable(e, value, "b64decode")
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        raise EvaluationFault("b64decode() got no base64 of UTF-8 text.") from None


def _json_parse(e: Evaluation, value: object) -> object:
    text = _decodable(e, value, "json_parse")
    try:
        return serialization.loads(text)
    except (ValueError, RecursionError):
        raise EvaluationFault("json_parse() got no valid JSON.") from None


def _decodable(e: Evaluation, value: object, name: str) -> str:
    text = _text(value, name)
    if len(text) > MAX_DECODED:
        raise LimitFault(f"{name}() takes at most {MAX_DECODED} characters.")
    e.charge(len(text))
    return text


def _int(_: Evaluation, value: object) -> int:
    if isinstance(value, dt.datetime):
        return times.epoch_seconds(value)
    number: int | None = None
    if isinstance(value, str):
        digits = value[1:] if value.startswith("-") else value
        if digits.isascii() and digits.isdigit() and len(digits) < 100:
            number = int(value)
    elif isinstance(value, float):
        number = int(value) if math.isfinite(value) else None
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    if number is None or not INT_MIN <= number <= INT_MAX:
        raise EvaluationFault(f"int() cannot convert this {kind_of(value)}.")
    return number


def _double(_: Evaluation, value: object) -> float:
    try:
        if isinstance(value, str):
            number = float(value) if _DOUBLE_TEXT.fullmatch(value) else math.nan
        elif kind_of(value) == "number":
            number = float(cast("float", value))
        else:
            number = math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise EvaluationFault(f"double() cannot convert this {kind_of(value)}.")
    return number


def _string(_: Evaluation, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return times.timestamp_text(value)
    if isinstance(value, dt.timedelta):
        return times.duration_text(value)
    if isinstance(value, str | int | float):
        return text_of(value)
    raise EvaluationFault(f"string() cannot convert {kind_of(value)}.")


def _bool(_: Evaluation, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _TRUE | _FALSE:
        return value in _TRUE
    raise EvaluationFault(f"bool() cannot convert this {kind_of(value)}.")


def _timestamp(_: Evaluation, value: object) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, str):
        return times.timestamp(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return times.from_seconds(value)
    raise EvaluationFault(f"timestamp() cannot convert this {kind_of(value)}.")


def _duration(_: Evaluation, value: object) -> dt.timedelta:
    if isinstance(value, dt.timedelta):
        return value
    return times.duration(_text(value, "duration"))


def _date(_: Evaluation, value: object) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return value
    if kind_of(value) not in ("string", "number"):
        raise EvaluationFault(f"date() cannot convert this {kind_of(value)}.")
    return times.date(cast("str | int | float", value))


def _now_plus(e: Evaluation, value: object) -> dt.datetime:
    return _shifted(e, _duration(e, value))


def _now_minus(e: Evaluation, value: object) -> dt.datetime:
    return _shifted(e, -_duration(e, value))


def _shifted(e: Evaluation, by: dt.timedelta) -> dt.datetime:
    try:
        return e.now + by
    except OverflowError:
        raise EvaluationFault("a timestamp is out of range.") from None


FUNCTIONS: dict[str, Function] = {
    "contains": Function(run=_contains, arity=2, as_function=False, as_method=True),
    "startsWith": Function(run=_starts_with, arity=2, as_function=False, as_method=True),
    "endsWith": Function(run=_ends_with, arity=2, as_function=False, as_method=True),
    "matches": Function(run=_matches, arity=2, as_method=True),
    "size": Function(run=_size, arity=1, as_method=True, takes_null=True),
    "lowercase": Function(run=_lowercase, arity=1),
    "uppercase": Function(run=_uppercase, arity=1),
    "b64decode": Function(run=_b64decode, arity=1),
    "json_parse": Function(run=_json_parse, arity=1),
    "int": Function(run=_int, arity=1),
    "double": Function(run=_double, arity=1),
    "string": Function(run=_string, arity=1),
    "bool": Function(run=_bool, arity=1),
    "timestamp": Function(run=_timestamp, arity=1),
    "duration": Function(run=_duration, arity=1),
    "date": Function(run=_date, arity=1),
    "type": Function(run=lambda _, value: type_of(value), arity=1, takes_null=True),
    "dyn": Function(run=lambda _, value: value, arity=1, takes_null=True),
    "now": Function(run=lambda e: e.now, arity=0, is_volatile=True),
    "now_plus": Function(run=_now_plus, arity=1, is_volatile=True),
    "now_minus": Function(run=_now_minus, arity=1, is_volatile=True),
}
