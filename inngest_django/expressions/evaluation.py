"""One evaluation: its variables, its one reading of the clock, its budget."""

from __future__ import annotations

import datetime as dt

from inngest_django import clock
from inngest_django.expressions.errors import LimitFault

ITERATION_COST = 100
BUDGET = 10_000 * ITERATION_COST


class Evaluation:
    """What the parts of an expression see while it is evaluated.

    Attributes:
        event: The variable ``event``.
        arriving: The variable ``async``.
        variable: The current element of the macro being evaluated; macros do not nest.

    Concurrency: belongs to one call of one thread.
    """

    __slots__ = ("_now", "_units", "arriving", "event", "variable")

    def __init__(
        self, event: object, arriving: object = None, now: dt.datetime | None = None
    ) -> None:
        self.event = event
        self.arriving = arriving
        self.variable: object = None
        self._now = now
        self._units = BUDGET

    @property
    def now(self) -> dt.datetime:
        """The time given, or the clock's, read once for the whole expression."""
        if self._now is None:
            self._now = clock.now()
        return self._now

    def charge(self, amount: int) -> None:
        """Take work from the budget: 100 for a macro's turn, 1 for a compared element.

        Raises:
            LimitFault: The budget is spent.
        """
        self._units -= amount
        if self._units < 0:
            raise LimitFault("it takes too much work on this event.")
