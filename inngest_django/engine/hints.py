"""Hints: telling workers that a job is due.

A hint carries an id and nothing else. Losing every hint costs time and nothing more: the
tick finds what is due. What publishes them is installed by ``dispatch``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from inngest_django.engine import crash_points, transactions


@dataclasses.dataclass(frozen=True, slots=True)
class JobHint:
    """One job to look at, ``delay`` seconds from now."""

    job_id: int
    function_id: str
    delay: float = 0.0


class Publisher(Protocol):
    """Publishes hints; never raises, never blocks for more than about a second."""

    def execute(self, hints: Sequence[JobHint]) -> bool:
        """Publish; False when the broker could not be reached."""

    def route(self) -> bool:
        """Ask for routing; False when the broker could not be reached."""

    def prune(self, number: int) -> bool:
        """Ask for the next turn of a pruning; False when the broker could not be reached."""

    def waiting(self, queue: str) -> int:
        """Return how many messages wait in a queue for a worker; 0 when that is not known."""


class _Nobody:
    """Stands in until a publisher is installed: the tick then does all the work."""

    def execute(self, hints: Sequence[JobHint]) -> bool:  # noqa: ARG002 - the interface
        return True

    def route(self) -> bool:
        return True

    def prune(self, number: int) -> bool:  # noqa: ARG002 - the interface
        return True

    def waiting(self, queue: str) -> int:  # noqa: ARG002 - the interface
        return 0


_publisher: Publisher = _Nobody()


def install(publisher: Publisher) -> Publisher:
    """Use ``publisher`` from now on; returns the one used before."""
    global _publisher
    previous, _publisher = _publisher, publisher
    return previous


def execute(hints: Sequence[JobHint]) -> bool:
    """Publish at once."""
    return _publisher.execute(hints) if hints else True


def route() -> bool:
    """Ask for routing at once."""
    return _publisher.route()


def prune(number: int) -> bool:
    """Ask for the next turn of a pruning at once."""
    return _publisher.prune(number)


def waiting(queue: str) -> int:
    """Return how many messages wait in a queue for a worker; 0 when that is not known."""
    return _publisher.waiting(queue)


def execute_after_commit(hints: Sequence[JobHint]) -> None:
    """Publish when the surrounding transaction commits."""
    if hints:
        transactions.after_commit(lambda: _publish(hints))


def route_after_commit() -> None:
    """Ask for routing when the surrounding transaction commits."""
    transactions.after_commit(_route)


def _publish(hints: Sequence[JobHint]) -> None:
    crash_points.reach("hints.before_publish")
    _publisher.execute(hints)
    crash_points.reach("hints.published")


def _route() -> None:
    _publisher.route()
