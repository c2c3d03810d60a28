"""The clock: the database's, unless a test moved it.

Due times, leases and expiries are compared inside SQL statements. ``sql`` gives the text to
put there; ``now`` is the host's reading, for what is only shown or measured.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator

_frozen: dt.datetime | None = None


def now() -> dt.datetime:
    """Return the current aware UTC time: the moved clock's, or the host's."""
    return _frozen or dt.datetime.now(dt.UTC)


def sql(vendor: str) -> str:
    """Return the SQL text that stands for now in a statement.

    PostgreSQL reads its own clock, so that hosts with wrong clocks cannot disagree. SQLite
    shares the host's, whose microseconds its own function would cut off.
    """
    if vendor == "postgresql":
        if _frozen is None:
            return "statement_timestamp()"
        return f"'{_frozen.isoformat()}'::timestamptz"
    return f"'{as_sqlite_text(now())}'"


def as_sqlite_text(moment: dt.datetime) -> str:
    """Return a moment as Django's SQLite backend stores it; text order is time order."""
    return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


@contextlib.contextmanager
def frozen(moment: dt.datetime) -> Iterator[None]:
    """Hold the clock of this process at ``moment`` inside the block."""
    previous = _frozen
    move(moment)
    try:
        yield
    finally:
        move(previous)


def move(moment: dt.datetime | None) -> None:
    """Hold the clock at ``moment``, or let it run again with None."""
    global _frozen  # noqa: PLW0603 - one clock a process is the point
    _frozen = moment


def is_moved() -> bool:
    """Whether a test holds the clock."""
    return _frozen is not None
