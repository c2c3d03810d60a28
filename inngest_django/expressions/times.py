"""Timestamps and durations: text to value and back."""

from __future__ import annotations

import datetime as dt
import re
from fractions import Fraction

from inngest_django.expressions.errors import EvaluationFault

_MICROSECONDS = {
    "ns": Fraction(1, 1000),
    "us": Fraction(1),
    "µs": Fraction(1),
    "ms": Fraction(1_000),
    "s": Fraction(1_000_000),
    "m": Fraction(60_000_000),
    "h": Fraction(3_600_000_000),
    "d": Fraction(86_400_000_000),
    "w": Fraction(604_800_000_000),
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h|d|w)")
_RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LONGEST_TEXT = 100
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

# Whole numbers from the year 2000 on tell their unit by their size.
_FIRST_SECOND = 946_684_800
_LAST_SECOND = 9_999_999_999
_LAST_MILLISECOND = 9_999_999_999_999


def duration(text: str) -> dt.timedelta:
    """Return a Go duration, also with ``d`` and ``w``: ``"1h30m"``, ``"-2.5d"``.

    Raises:
        EvaluationFault: It is none, or longer than a timedelta can be.
    """
    negative = text.startswith("-")
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return dt.timedelta()
    total, position = Fraction(), 0
    if len(body) <= _LONGEST_TEXT:
        for part in _PART.finditer(body):
            if part.start() != position:
                break
            total += Fraction(part[1]) * _MICROSECONDS[part[2]]
            position = part.end()
    if not body or position != len(body):
        raise EvaluationFault('a duration cannot be read. Write it such as "1h30m" or "2d".')
    microseconds = int(total)
    try:
        return dt.timedelta(microseconds=-microseconds if negative else microseconds)
    except OverflowError:
        raise EvaluationFault("a duration is too long.") from None


def timestamp(text: str) -> dt.datetime:
    """Return an RFC 3339 instant; digits below a microsecond are dropped.

    Raises:
        EvaluationFault: It is none.
    """
    match = _RFC_3339.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
    if match is None:
        raise EvaluationFault(
            'a timestamp cannot be read. Write RFC 3339, such as "2026-01-31T09:00:00Z".'
        )
    day, time, fraction, zone = match.groups()
    micro = (fraction or "")[:6].ljust(6, "0")
    offset = "+00:00" if zone in "Zz" else zone
    try:
        moment = dt.datetime.fromisoformat(f"{day}T{time}.{micro}{offset}")
        return moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise EvaluationFault("a timestamp is not a real date and time.") from None


def from_seconds(seconds: int | float) -> dt.datetime:
    """Return the instant so many seconds after 1970.

    Raises:
        EvaluationFault: It is outside the years 1 to 9999.
    """
    try:
        return _EPOCH + dt.timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        raise EvaluationFault("a timestamp is out of range.") from None


def date(value: str | int | float) -> dt.datetime:
    """Return the instant of RFC 3339 text, a date alone (midnight UTC), or an epoch.

    A number from the year 2000 on is taken for seconds, milliseconds or nanoseconds by
    its size; a smaller one is refused, because it may be any of them.

    Raises:
        EvaluationFault: It cannot be read.
    """
    if isinstance(value, str):
        whole_day = len(value) == 10 and _DATE.fullmatch(value)
        return timestamp(f"{value}T00:00:00Z" if whole_day else value)
    if value < _FIRST_SECOND:
        raise EvaluationFault("date() takes epochs from the year 2000 on only.")
    if value > _LAST_MILLISECOND:
        return _from_units(value, 1_000_000_000)
    return _from_units(value, 1_000 if value > _LAST_SECOND else 1)


def _from_units(value: int | float, units_per_second: int) -> dt.datetime:
    # Through microseconds and not float seconds, which would lose the last digits.
    try:
        microseconds = int(Fraction(value) * 1_000_000 / units_per_second)
        return _EPOCH + dt.timedelta(microseconds=microseconds)
    except (OverflowError, ValueError):
        raise EvaluationFault("a timestamp is out of range.") from None


def epoch_seconds(moment: dt.datetime) -> int:
    """Return whole seconds since 1970, rounded down."""
    return (moment - _EPOCH) // dt.timedelta(seconds=1)


def timestamp_text(moment: dt.datetime) -> str:
    """Return RFC 3339 in UTC, without trailing zeros."""
    text = moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def duration_text(value: dt.timedelta) -> str:
    """Return seconds with an ``s``, as CEL writes durations: ``"5400s"``, ``"1.5s"``."""
    microseconds = value // dt.timedelta(microseconds=1)
    seconds, rest = divmod(abs(microseconds), 1_000_000)
    fraction = f".{rest:06d}".rstrip("0") if rest else ""
    return f"{'-' if microseconds < 0 else ''}{seconds}{fraction}s"
