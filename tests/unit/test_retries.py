"""When to try again: how often, how long to wait, and when to call a loss the end."""

from __future__ import annotations

import datetime as dt

import hypothesis
import pytest
from hypothesis import strategies as st

from inngest_django.engine.retries import clamp_retry_after, is_lost_for_good, next_delay

BACKOFF = [dt.timedelta(seconds=seconds) for seconds in (10, 30, 60)]
NO_JITTER = dt.timedelta(0)


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(0, 10), (1, 30), (2, 60), (3, 60), (8, 60), (9, None), (10, None)]
)
def test_delays_follow_the_table_until_the_attempts_are_used_up(
    attempt: int, seconds: int | None
) -> None:
    delay = next_delay(attempt, max_attempts=10, backoff=BACKOFF, jitter=NO_JITTER)

    assert delay == (None if seconds is None else dt.timedelta(seconds=seconds))


def test_one_attempt_has_no_next() -> None:
    assert next_delay(0, max_attempts=1, backoff=BACKOFF, jitter=NO_JITTER) is None


def test_jitter_is_drawn_between_nothing_and_all_of_it_and_added() -> None:
    drawn = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return 1.25

    delay = next_delay(
        1, max_attempts=4, backoff=BACKOFF, jitter=dt.timedelta(seconds=5), uniform=uniform
    )

    assert drawn == [(0.0, 5.0)]
    assert delay == dt.timedelta(seconds=31.25)


@hypothesis.given(st.integers(0, 20), st.integers(1, 20), st.integers(0, 60))
def test_jitter_stays_within_its_width(attempt: int, max_attempts: int, width: int) -> None:
    jitter = dt.timedelta(seconds=width)

    delay = next_delay(attempt, max_attempts=max_attempts, backoff=BACKOFF, jitter=jitter)

    if attempt >= max_attempts - 1:
        assert delay is None
    else:
        assert delay is not None
        assert BACKOFF[min(attempt, 2)] <= delay <= BACKOFF[min(attempt, 2)] + jitter


@pytest.mark.parametrize(
    ("asked", "given"),
    [(-5, 1), (0, 1), (0.5, 1), (1, 1), (90, 90), (86_400, 86_400), (86_401, 86_400)],
)
def test_an_authors_delay_is_a_second_to_a_day(asked: float, given: float) -> None:
    assert clamp_retry_after(dt.timedelta(seconds=asked)) == dt.timedelta(seconds=given)


@pytest.mark.parametrize(
    ("attempt", "max_attempts", "losses", "lost"),
    [
        (1, 1, 3, True),
        (1, 1, 2, False),  # with no retries, three workers may still die
        (4, 4, 4, True),
        (5, 4, 4, True),
        (3, 4, 10, False),
    ],
)
def test_lost_for_good(attempt: int, max_attempts: int, losses: int, lost: bool) -> None:
    is_lost = is_lost_for_good(attempt=attempt, max_attempts=max_attempts, loss_count=losses)

    assert is_lost is lost
