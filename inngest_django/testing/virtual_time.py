"""The clock of a test: it stands still until the test moves it."""

from __future__ import annotations

import datetime as dt
import secrets
import sys
from typing import Any

from inngest_django import clock, ids
from inngest_django.engine import transactions


class VirtualClock:
    """Holds the engine's clock.

    It begins at the present when it is first used, so that a test may travel before. Where
    time-machine travels, both clocks are one: this one follows when the test shifts that
    one, and moves it along.
    """

    def __init__(self) -> None:
        self._now: dt.datetime | None = None
        self._id_count = 0

    @property
    def now(self) -> dt.datetime:
        """The moment at which the clock stands."""
        return self.begin()

    def begin(self) -> dt.datetime:
        """Hold the clock, if it is not held yet; returns its moment."""
        if self._now is None:
            host = clock.now()
            # Whichever is later: nothing that is written already may lie in the future.
            self.move(host if _traveller() is not None else max(host, transactions.now()))
        assert self._now is not None  # noqa: S101 - just moved
        return self._now

    def move(self, moment: dt.datetime) -> None:
        """Hold the clock at a moment."""
        self._now = moment.astimezone(dt.UTC)
        clock.move(self._now)
        traveller = _traveller()
        if traveller is not None:
            # Not move_to, which would also end its time zone.
            traveller.shift(self._now - dt.datetime.now(dt.UTC))  # noqa: TID251 - its clock

    def new_ulid(self) -> str:
        """Return a fresh id of this clock's time; ids of one moment sort as they were made."""
        self._id_count += 1
        now = self._now or clock.now()
        order = self._id_count.to_bytes(4, "big")
        return ids.ulid_from_seed(int(now.timestamp() * 1000), order + secrets.token_bytes(6))

    def ahead(self) -> dt.datetime | None:
        """Return where time-machine has been moved to, when that is ahead of this clock."""
        if self._now is None or _traveller() is None:
            return None
        host = dt.datetime.now(dt.UTC)  # noqa: TID251 - this is what time-machine moves
        return host if host > self._now else None

    def release(self) -> None:
        """Let the clock run again."""
        self._now = None
        clock.move(None)


def _traveller() -> Any:
    """Return what moves time-machine's clock, or None when it does not travel."""
    module: Any = sys.modules.get("time_machine")
    stack = getattr(module, "traveller_stack", None) or getattr(module, "coordinates_stack", None)
    return stack[-1] if stack else None
