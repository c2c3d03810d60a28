from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inngest_django import crons

CRONS = [
    "* * * * *",
    "*/7 * * * *",
    "15 2 * * 1",
    "0 0 29 2 *",
    "TZ=Europe/Oslo 30 2 * * *",
    "CRON_TZ=America/New_York 0 9-17/4 1,15 * *",
]
MOMENTS = st.datetimes(
    min_value=dt.datetime(2024, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=dt.datetime(2030, 1, 1),  # noqa: DTZ001
    timezones=st.just(dt.UTC),
)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("cron", "moment", "expected"),
    [
        ("0 3 * * *", "2026-03-01 02:59:59.9", "2026-03-01 03:00"),
        ("0 3 * * *", "2026-03-01 03:00", "2026-03-02 03:00"),
        ("TZ=Europe/Oslo 0 3 * * *", "2026-01-10 00:00", "2026-01-10 02:00"),
        ("TZ=Europe/Oslo 0 3 * * *", "2026-07-10 00:00", "2026-07-10 01:00"),
        # The hour that is left out: when it is over.
        ("TZ=Europe/Oslo 30 2 * * *", "2026-03-28 12:00", "2026-03-29 01:00"),
        # The hour that comes twice: its first time, and not again.
        ("TZ=Europe/Oslo 30 2 * * *", "2026-10-24 12:00", "2026-10-25 00:30"),
        ("TZ=Europe/Oslo 30 2 * * *", "2026-10-25 00:30", "2026-10-26 01:30"),
        # Both times, when each half hour is named.
        ("TZ=Europe/Oslo */30 * * * *", "2026-10-25 00:30", "2026-10-25 01:00"),
        ("0 0 29 2 *", "2026-01-01 00:00", "2028-02-29 00:00"),
        # A day or a weekday, when both are named.
        ("0 0 13 * 5", "2026-11-07 00:00", "2026-11-13 00:00"),
        ("0 0 1 * 0", "2026-11-27 00:00", "2026-11-29 00:00"),
    ],
)
def test_the_next_time(cron: str, moment: str, expected: str) -> None:
    assert crons.after(cron, utc(moment)) == utc(expected)


def test_several_next_times() -> None:
    assert crons.upcoming("0 */6 * * *", utc("2026-03-01 05:00"), 3) == [
        utc("2026-03-01 06:00"),
        utc("2026-03-01 12:00"),
        utc("2026-03-01 18:00"),
    ]


def test_the_newest_times_include_the_moment_itself() -> None:
    expected = [utc("2026-03-01 03:00"), utc("2026-03-01 04:00")]
    assert crons.newest("0 * * * *", utc("2026-03-01 04:00"), 2) == expected
    assert crons.newest("0 * * * *", utc("2026-03-01 04:59:59"), 2) == expected


def test_nothing_depends_on_the_hosts_zone() -> None:
    """A host in UTC would not notice."""
    moment = utc("2026-03-01 05:00")
    times = [
        crons.after("0 * * * *", moment),
        *crons.upcoming("0 * * * *", moment, 2),
        *crons.newest("0 * * * *", moment, 2),
    ]

    assert all(time.tzinfo is dt.UTC for time in times)
    assert crons.split(" 0 * * * * ") == (dt.UTC, "0 * * * *")


@given(st.sampled_from(CRONS), MOMENTS)
def test_times_rise_and_each_is_the_next_of_the_one_before(cron: str, moment: dt.datetime) -> None:
    times = crons.upcoming(cron, moment, 4)

    assert times == sorted(set(times))
    assert times[0] > moment
    assert [crons.after(cron, time) for time in times[:-1]] == times[1:]


@given(st.sampled_from(CRONS[:5]), MOMENTS)
def test_back_from_a_time_leads_to_the_same_times(cron: str, moment: dt.datetime) -> None:
    """Backwards and forwards agree; not in the hour that comes twice, which has two views."""
    times = crons.upcoming(cron, moment, 3)

    assert crons.newest(cron, times[-1], 3) == times


@given(st.timedeltas(dt.timedelta(seconds=1), dt.timedelta(minutes=5)), st.text())
def test_delay_stays_within_the_jitter_and_is_the_same_again(
    jitter: dt.timedelta, seed: str
) -> None:
    delay = crons.delay(jitter, seed)

    assert dt.timedelta(seconds=1) <= delay <= jitter
    assert crons.delay(jitter, seed) == delay


def test_delays_of_many_seeds_spread_over_the_jitter() -> None:
    delays = {crons.delay(dt.timedelta(minutes=5), str(number)) for number in range(200)}

    assert len(delays) > 150
    assert min(delays) < dt.timedelta(seconds=30)
    assert max(delays) > dt.timedelta(minutes=4, seconds=30)


def test_no_jitter_is_no_delay() -> None:
    assert crons.delay(dt.timedelta(), "x") == dt.timedelta()


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("every day", "must have five fields, has 2"),
        (
            "0 0 30 2 *",
            r"^'0 0 30 2 \*' is no schedule: .*\. Write five fields: minute, hour, day, month, weekday, such as .15 2 .* 1.\.$",
        ),
        ("TZ=Mars/Base 0 0 * * *", "'Mars/Base' is no time zone"),
        ("TZ= 0 0 * * *", "'' is no time zone"),
    ],
)
def test_what_is_no_schedule_is_refused(cron: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        crons.check(cron)
