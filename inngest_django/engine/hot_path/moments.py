"""Moments in statements, and when a job's hint is sent."""

from __future__ import annotations

import datetime as dt
from typing import Any

from inngest_django import clock, conf
from inngest_django.engine import transactions

# How long the writer of a job trusts its own hint before the tick sends another.
HINT_GRACE = dt.timedelta(seconds=3)


def as_param(moment: dt.datetime) -> Any:
    """Return a moment as a statement's parameter."""
    return moment if transactions.is_postgresql() else clock.as_sqlite_text(moment)


def is_soon(available_at: dt.datetime, now: dt.datetime) -> bool:
    """Whether the writer of a job publishes its hint; later ones are the tick's.

    A message with a delay waits in a worker's memory, so delays stay short.
    """
    return available_at - now <= lookahead()


def lookahead() -> dt.timedelta:
    """Return how far ahead of its time a tick publishes a job, with that delay."""
    return conf.get().TICK + dt.timedelta(seconds=0.5)


def first_hint_at(available_at: dt.datetime, now: dt.datetime) -> dt.datetime:
    """Return when the tick looks at a new job: at its time, or when its hint seems lost."""
    if is_soon(available_at, now):
        return max(available_at, now) + HINT_GRACE
    return available_at


def now_plus(seconds: float) -> str:
    """Return the SQL text of a moment that many seconds from now."""
    if transactions.is_postgresql():
        return f"({transactions.now_sql()} + interval '{seconds:.6f} seconds')"
    moment = clock.now() + dt.timedelta(seconds=seconds)
    return f"'{clock.as_sqlite_text(moment)}'"
