"""Durations and dates as authors write them.

A duration is a timedelta, a number of milliseconds, or text such as ``"2d"``, ``"1h30m"``,
``"3 days"``, ``"1 hour and 30 minutes"``. A date is a datetime, a date, or text: ISO 8601, or
``YYYY-MM-DDHH:mm:ss``.
"""

from __future__ import annotations

import datetime as dt
import re

from inngest_django.errors import DurationError

MAX_HORIZON = dt.timedelta(days=366)

# In microseconds: a timedelta has no smaller part, and one of a nanosecond would be zero.
_UNITS = {
    "ns": 0.001,
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
_WORDS = {
    "ms": ("millisecond", "msec"),
    "s": ("second", "sec"),
    "m": ("minute", "min"),
    "h": ("hour", "hr"),
    "d": ("day",),
    "w": ("week",),
}
_UNITS |= {
    word + ending: _UNITS[unit]
    for unit, words in _WORDS.items()
    for word in words
    for ending in ("", "s")
}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_BETWEEN = re.compile(r"\s*,?\s*(?:and\s+)?")
_HINT = 'Write milliseconds, a timedelta, or text such as "2d", "1h30m", "3 days".'
_DATE_HINT = 'Write a datetime, or text such as "2026-01-31", "2026-01-31T09:00:00Z".'


def parse_duration(value: object, *, what: str = "duration") -> dt.timedelta:
    """Return the duration of any accepted spelling.

    Raises:
        DurationError: It cannot be read, is negative, or is over 366 days.
    """
    if isinstance(value, dt.timedelta):
        duration = value
    elif isinstance(value, bool) or not isinstance(value, int | str):
        raise DurationError(f"{what} cannot be {value!r}. {_HINT}")
    elif isinstance(value, int):
        try:
            duration = dt.timedelta(milliseconds=value)
        except OverflowError:
            raise DurationError(f"{what} of {value} ms is over 366 days.") from None
    else:
        duration = _parse_text(value, what=what)
    if duration < dt.timedelta(0):
        raise DurationError(f"{what} cannot be negative, got {value!r}. Use zero or more.")
    if duration > MAX_HORIZON:
        raise DurationError(f"{what} of {value!r} is over 366 days, the longest allowed.")
    return duration


def _parse_text(text: str, *, what: str) -> dt.timedelta:
    source = text.strip()
    if source.startswith("-"):
        raise DurationError(f"{what} cannot be negative, got {text!r}. Use zero or more.")
    total, part = dt.timedelta(0), _PART.match(source)
    while part is not None and part[2] in _UNITS:
        try:
            total += dt.timedelta(microseconds=float(part[1]) * _UNITS[part[2]])
        except OverflowError:
            raise DurationError(f"{what} of {text!r} is over 366 days.") from None
        if part.end() == len(source):
            return total
        between = _BETWEEN.match(source, part.end())
        part = between and _PART.match(source, between.end())
    raise DurationError(f"{what} cannot be read from {text!r}. {_HINT}")


def parse_date(value: object, *, zone: dt.tzinfo, what: str = "date") -> dt.datetime:
    """Return the aware instant of any accepted spelling; a naive one is in ``zone``.

    Raises:
        DurationError: It cannot be read.
    """
    if isinstance(value, dt.datetime):
        moment = value
    elif isinstance(value, dt.date):
        moment = dt.datetime.combine(value, dt.time())
    elif isinstance(value, str):
        moment = _parse_date_text(value.strip(), what=what)
    else:
        raise DurationError(f"{what} cannot be {value!r}. {_DATE_HINT}")
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment


def _parse_date_text(text: str, *, what: str) -> dt.datetime:
    # Inngest's documentation writes "2022-01-0512:00:00", which ISO 8601 does not know.
    for parse in (
        dt.datetime.fromisoformat,
        lambda t: dt.datetime.strptime(t, "%Y-%m-%d%H:%M:%S"),  # noqa: DTZ007
    ):
        try:
            return parse(text)
        except ValueError:
            continue
    raise DurationError(f"{what} cannot be read from {text!r}. {_DATE_HINT}")


def format_duration(duration: dt.timedelta) -> str:
    """Return the short text of a duration, such as ``"1h30m"`` or ``"1.5s"``."""
    seconds = duration.total_seconds()
    if 0 < seconds < 60:
        return f"{seconds:g}s"
    parts, rest = [], int(seconds)
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
