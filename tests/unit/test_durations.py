"""Durations and dates: every spelling is read, and what is none is refused with a remedy."""

from __future__ import annotations

import datetime as dt
import re
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from hypothesis import strategies as st

from inngest_django.durations import MAX_HORIZON, format_duration, parse_date, parse_duration
from inngest_django.errors import DurationError

BERLIN = ZoneInfo("Europe/Berlin")
HINT = 'Write milliseconds, a timedelta, or text such as "2d", "1h30m", "3 days".'
DATE_HINT = 'Write a datetime, or text such as "2026-01-31", "2026-01-31T09:00:00Z".'


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1us", 0.000001),
        ("2000ns", 0.000002),
        ("500ms", 0.5),
        ("1s", 1),
        ("1m", 60),
        ("1h", 3_600),
        ("1d", 86_400),
        ("1w", 604_800),
        ("1h30m", 5_400),
        ("1.5h", 5_400),
        ("1 h", 3_600),
        (" 2d ", 172_800),
        ("1m1m", 120),
        ("1h 30m", 5_400),
        ("3 days", 259_200),
        ("1 day", 86_400),
        ("2weeks", 1_209_600),
        ("1 week", 604_800),
        ("1 hour and 30 minutes", 5_400),
        ("1.5 hours", 5_400),
        ("1 hour, 30 minutes", 5_400),
        ("1 day, 2 hours, and 5 minutes", 93_900),
        ("1day2hours", 93_600),
        ("1 hr 1 min 1 sec", 3_661),
        ("2 hrs, 2 mins, 2 secs", 7_322),
        ("1 minute 1 second", 61),
        ("30 seconds", 30),
        ("250 milliseconds", 0.25),
        ("1 millisecond", 0.001),
        ("1 msec 2 msecs", 0.003),
        (1_500, 1.5),
        (0, 0),
        ("0s", 0),
        (dt.timedelta(hours=2), 7_200),
        (dt.timedelta(0), 0),
        ("366d", 31_622_400),
        (MAX_HORIZON, 31_622_400),
        (31_622_400_000, 31_622_400),
    ],
)
def test_spellings_of_durations(value: object, seconds: float) -> None:
    assert parse_duration(value) == dt.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, f"duration cannot be None. {HINT}"),
        (True, f"duration cannot be True. {HINT}"),
        (1.5, f"duration cannot be 1.5. {HINT}"),
        ("", f"duration cannot be read from ''. {HINT}"),
        ("  ", f"duration cannot be read from '  '. {HINT}"),
        ("soon", f"duration cannot be read from 'soon'. {HINT}"),
        ("5", f"duration cannot be read from '5'. {HINT}"),
        ("1h?", f"duration cannot be read from '1h?'. {HINT}"),
        ("?1h", f"duration cannot be read from '?1h'. {HINT}"),
        ("1h?2m", f"duration cannot be read from '1h?2m'. {HINT}"),
        ("1h ?2m", f"duration cannot be read from '1h ?2m'. {HINT}"),
        ("1 hour and", f"duration cannot be read from '1 hour and'. {HINT}"),
        ("1 hour,", f"duration cannot be read from '1 hour,'. {HINT}"),
        ("1 hour and30m", f"duration cannot be read from '1 hour and30m'. {HINT}"),
        ("1 hour,, 30m", f"duration cannot be read from '1 hour,, 30m'. {HINT}"),
        ("1 hour and and 30m", f"duration cannot be read from '1 hour and and 30m'. {HINT}"),
        ("and 1 hour", f"duration cannot be read from 'and 1 hour'. {HINT}"),
        ("days", f"duration cannot be read from 'days'. {HINT}"),
        ("three days", f"duration cannot be read from 'three days'. {HINT}"),
        ("2 months", f"duration cannot be read from '2 months'. {HINT}"),
        ("1 Day", f"duration cannot be read from '1 Day'. {HINT}"),
        ("1 dayss", f"duration cannot be read from '1 dayss'. {HINT}"),
        ("1 ds", f"duration cannot be read from '1 ds'. {HINT}"),
        ("1H", f"duration cannot be read from '1H'. {HINT}"),
        ("-1h", "duration cannot be negative, got '-1h'. Use zero or more."),
        (-1, "duration cannot be negative, got -1. Use zero or more."),
        (
            dt.timedelta(microseconds=-1),
            "duration cannot be negative, got datetime.timedelta(days=-1, seconds=86399, "
            "microseconds=999999). Use zero or more.",
        ),
        ("367d", "duration of '367d' is over 366 days, the longest allowed."),
        ("8784h1us", "duration of '8784h1us' is over 366 days, the longest allowed."),
        (31_622_400_001, "duration of 31622400001 is over 366 days, the longest allowed."),
        (10**30, f"duration of {10**30} ms is over 366 days."),
        ("99999999999w", "duration of '99999999999w' is over 366 days."),
        (f"{'9' * 400}s", f"duration of '{'9' * 400}s' is over 366 days."),
    ],
)
def test_what_is_no_duration_is_refused(value: object, message: str) -> None:
    with pytest.raises(DurationError, match=f"^{re.escape(message)}$"):
        parse_duration(value)


@pytest.mark.parametrize("value", [None, "", "soon", "-1s", -1, "367d", 10**30, "99999999999w"])
def test_an_error_of_a_duration_names_the_option(value: object) -> None:
    with pytest.raises(DurationError, match=r"^timeout (cannot be|of) "):
        parse_duration(value, what="timeout")


@hypothesis.given(st.integers(0, 31_622_400_000))
def test_numbers_are_milliseconds(millis: int) -> None:
    assert parse_duration(millis) == parse_duration(f"{millis}ms")
    assert parse_duration(millis) == dt.timedelta(milliseconds=millis)


@hypothesis.given(st.text(alphabet="0123456789.hmsd -+?", max_size=8))
def test_any_text_is_a_duration_in_range_or_refused(text: str) -> None:
    try:
        duration = parse_duration(text)
    except DurationError:
        return
    assert dt.timedelta(0) <= duration <= MAX_HORIZON
    assert re.fullmatch(r"\s*(\d+(\.\d+)?\s*(ms|[hmsd])\s*)+", text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "0.25s"),
        (1, "1s"),
        (1.5, "1.5s"),
        (59.5, "59.5s"),
        (60, "1m"),
        (60.5, "1m"),
        (61, "1m1s"),
        (5_400, "1h30m"),
        (86_400, "1d"),
        (90_061, "1d1h1m1s"),
        (864_000, "10d"),
    ],
)
def test_durations_are_written_short(seconds: float, text: str) -> None:
    assert format_duration(dt.timedelta(seconds=seconds)) == text


@hypothesis.given(st.integers(0, 31_622_400))
def test_what_is_written_is_read_again(seconds: int) -> None:
    duration = dt.timedelta(seconds=seconds)

    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-31", dt.datetime(2026, 1, 31, tzinfo=BERLIN)),
        (" 2026-01-31 ", dt.datetime(2026, 1, 31, tzinfo=BERLIN)),
        ("2026-01-31T09:00:00", dt.datetime(2026, 1, 31, 9, tzinfo=BERLIN)),
        ("2026-01-31T09:00:00Z", dt.datetime(2026, 1, 31, 9, tzinfo=dt.UTC)),
        ("2026-01-3112:30:05", dt.datetime(2026, 1, 31, 12, 30, 5, tzinfo=BERLIN)),
        (dt.date(2026, 1, 31), dt.datetime(2026, 1, 31, tzinfo=BERLIN)),
        (dt.datetime(2026, 1, 31, 9), dt.datetime(2026, 1, 31, 9, tzinfo=BERLIN)),  # noqa: DTZ001
        (dt.datetime(2026, 1, 31, 9, tzinfo=dt.UTC), dt.datetime(2026, 1, 31, 9, tzinfo=dt.UTC)),
    ],
)
def test_spellings_of_dates(value: object, expected: dt.datetime) -> None:
    moment = parse_date(value, zone=BERLIN)

    assert (moment, moment.tzinfo) == (expected, expected.tzinfo)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, f"date cannot be None. {DATE_HINT}"),
        (5, f"date cannot be 5. {DATE_HINT}"),
        ("", f"date cannot be read from ''. {DATE_HINT}"),
        ("tomorrow", f"date cannot be read from 'tomorrow'. {DATE_HINT}"),
        ("2026-02-30", f"date cannot be read from '2026-02-30'. {DATE_HINT}"),
    ],
)
def test_what_is_no_date_is_refused(value: object, message: str) -> None:
    with pytest.raises(DurationError, match=f"^{re.escape(message)}$"):
        parse_date(value, zone=BERLIN)
    with pytest.raises(DurationError, match=r"^until cannot be "):
        parse_date(value, zone=BERLIN, what="until")
