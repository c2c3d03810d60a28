"""A worker on a host whose clock is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from django.db import connections

from inngest_django.models import Run
from tests.faults import injection
from tests.faults.arena import Arena
from tests.faults.drives import Strike
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.mark.matrix(21, "worker's clock ten minutes ahead, or behind")
@pytest.mark.parametrize("minutes", [10, -10])
def test_a_worker_with_a_wrong_clock_wakes_nothing_early(arena: Arena, minutes: int) -> None:
    """Its monotonic clock runs as ever; the database's clock, beat's and the tests' are right."""

    def replace() -> None:
        arena.start_worker({injection.SKEW: str(minutes * 60)})

    # It finds what the worker before it began, by another clock.
    report = arena.drive(sets=2, timeout=90, strikes=[Strike(0, replace)])

    print(f"{minutes:+d} minutes: {report}")
    slept = _slept(report.runs)
    # A pause of the group and a time-out of each of two waiters, twice.
    assert len(slept) == 2 * 3
    assert min(slept) >= 1.0


def _slept(runs: Sequence[Run]) -> list[float]:
    """Return how long each sleep and time-out of one second took, by the database's clock."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM r.at - s.started_at) FROM inngest_step s"
            " JOIN fault_recorded r ON (r.run_id, r.step) = (s.run_id, s.name)"
            " WHERE s.run_id = ANY(%s) AND s.name IN ('pause', 'nothing')",
            ([run.id for run in runs],),
        )
        return [float(row[0]) for row in cursor.fetchall()]
