"""When to try again. Pure."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Sequence

MIN_DELAY = dt.timedelta(seconds=1)
MAX_DELAY = dt.timedelta(hours=24)
# A step whose workers die ends as failed, but never for fewer losses than this: with
# ``retries=0`` a worker that dies between its lease and the body has run nothing.
MIN_LOSSES = 3
MAX_FREE_LOSSES = 10


def next_delay(
    attempt: int,
    *,
    max_attempts: int,
    backoff: Sequence[dt.timedelta],
    jitter: dt.timedelta,
    uniform: Callable[[float, float], float] = random.uniform,
) -> dt.timedelta | None:
    """Return how long to wait before the next attempt, or None to give up.

    Args:
        attempt: The attempt that just failed, counted from 0.
        max_attempts: Retries plus one.

    Source: Inngest's back-off table, index of the failed attempt, plus uniform jitter.
    """
    if attempt + 1 >= max_attempts:
        return None
    base = backoff[min(attempt, len(backoff) - 1)]
    return base + dt.timedelta(seconds=uniform(0.0, jitter.total_seconds()))


def clamp_retry_after(delay: dt.timedelta) -> dt.timedelta:
    """Return a delay that an author asked for, within one second and 24 hours."""
    return min(max(delay, MIN_DELAY), MAX_DELAY)


def is_lost_for_good(*, attempt: int, max_attempts: int, loss_count: int) -> bool:
    """Whether a piece whose workers died has used up its attempts."""
    return attempt >= max_attempts and loss_count >= MIN_LOSSES
