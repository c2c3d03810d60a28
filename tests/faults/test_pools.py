"""Each kind of pool that Celery has does the load, and loses a worker on the way."""

from __future__ import annotations

import pytest

from tests.faults.arena import Arena
from tests.faults.drives import Strike
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.mark.matrix(32, "pools: prefork, threads, solo; worker killed")
@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_each_pool_keeps_the_promises(arena: Arena, pool: str) -> None:
    arena.start_worker(options=["-P", pool], concurrency=1 if pool == "solo" else 4)

    # The load goes on until so much was done by the worker that came after.
    strikes = [Strike(12, arena.kill_worker), Strike(30, faults=0)]
    report = arena.drive(sets=2, timeout=90, strikes=strikes)

    print(f"{pool}: {report}")
    assert report.restarts == 1
