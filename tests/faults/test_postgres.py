"""A PostgreSQL server that stops at once and comes back, while a mixed load runs."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator

import pytest

from inngest_django.testing.proxy import Proxy
from tests.faults import arena as arenas
from tests.faults import injection, places
from tests.faults.arena import Arena
from tests.faults.drives import Strike
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules
from tests.faults.servers import LOOPBACK, Postgres
from tests.processes import ProcessStack, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

# Seconds more where the database is stopped again before all has moved: each time the message
# of a job may be lost, and the next one is sent some seconds later.
AGAIN = 10.0
# The name of a prepared statement where one is run: its transaction ends with the message, in
# which no word says so.
PREPARED = b"\0inngest_"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(cluster: Postgres) -> Iterator[Proxy]:
    with Proxy(LOOPBACK, cluster.port) as between:
        yield between


@pytest.fixture(scope="module")
def shared_arena(stack: ProcessStack, cluster: Postgres, proxy: Proxy) -> Iterator[Arena]:
    """As that of conftest.py, on a cluster of its own; the worker reaches it by the proxy."""
    with places.database(stack, cluster), arenas.running(stack, heal=False) as opened:
        stack.extra_environment["PGPORT"] = str(proxy.port)
        opened.start_worker()
        yield opened


@pytest.mark.matrix(6, "PostgreSQL stopped at once, started again")
@pytest.mark.parametrize("seed", [1, 2])
def test_a_database_that_crashes_under_load_loses_nothing(
    arena: Arena, cluster: Postgres, seed: int
) -> None:
    chosen = random.Random(seed)

    def crash() -> None:
        cluster.crash()
        arena.under_way.probe.wait(chosen.uniform(0, 2))
        cluster.start()

    after = sorted(chosen.sample(range(3, 45), 3))
    strikes = [Strike(n, crash) for n in after]
    report = arena.drive(sets=2, timeout=120, bound=arenas.BOUND + AGAIN, strikes=strikes)

    print(f"seed {seed}, after {after} results: {report}")
    assert sum(each.held for each in report.recoveries)


@pytest.mark.matrix(6, "PostgreSQL stopped again while it recovers")
def test_a_database_that_crashes_in_its_recovery_loses_nothing(
    arena: Arena, cluster: Postgres
) -> None:
    def crash() -> None:
        cluster.crash()
        cluster.start(wait=False)
        wait_until(lambda: _is_recovering(cluster), what="recovery", interval=0.001)
        cluster.crash()
        cluster.start()

    strikes = [Strike(10, crash), Strike(30, crash)]
    report = arena.drive(sets=2, timeout=120, bound=arenas.BOUND + AGAIN, strikes=strikes)

    print(report)
    assert sum(each.held for each in report.recoveries)


def _is_recovering(cluster: Postgres) -> bool:
    *_, last = cluster.output().rpartition("starting PostgreSQL")
    return "automatic recovery in progress" in last or "not properly shut down" in last


@pytest.mark.matrix(6, "PostgreSQL stopped just before or after a commit")
def test_a_database_that_crashes_around_a_commit_applies_all_of_a_step_or_nothing(
    arena: Arena, cluster: Postgres
) -> None:
    aimed_at = (
        "outcome.written",
        "transaction.body_done",
        "route.start_written",
        "timer.written",
        "checkpoint.start",
        "stamp.committed",
    )
    left = iter(aimed_at)

    def crash() -> None:
        point = next(left)
        injection.hold(arena.folder, point)
        # Somebody will come by: all of a set is ahead.
        arena.under_way.send_set()
        wait_until(lambda: injection.is_held(arena.folder, point), what=f"process at {point}")
        cluster.send_signal(signal.SIGQUIT)
        injection.let_go(arena.folder, point)
        cluster.crash()
        cluster.start()

    strikes = [Strike(4 * number, crash) for number in range(len(aimed_at))]
    arena.start_worker(points=True)
    try:
        report = arena.drive(timeout=200, bound=arenas.BOUND + AGAIN, strikes=strikes)
    finally:
        arena.start_worker()

    print(report)
    assert not list(left)


@pytest.mark.matrix(7, "connection cut when the server answers COMMIT")
@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("request_", [b"COMMIT", PREPARED], ids=["COMMIT", "prepared"])
def test_a_commit_whose_answer_is_lost_counts_once(
    arena: Arena, proxy: Proxy, request_: bytes, after: int
) -> None:
    """What a worker commits is done and unheard, a dozen times, after so many that were heard."""
    before = proxy.counts.replies_dropped
    proxy.drop_reply(request_, times=12, after=after)
    try:
        report = arena.drive(
            sets=2, timeout=120, count=lambda: proxy.counts.replies_dropped - before
        )
    finally:
        proxy.heal()

    print(f"answers dropped: {report}")
    assert report.faults == 12


@pytest.mark.matrix(7, "connection dies without a word under an outcome")
def test_an_outcome_that_never_arrives_holds_its_job_no_longer_than_a_lease(
    arena: Arena, proxy: Proxy
) -> None:
    """The worker's other connection lives on, and could renew for as long as it likes."""
    before = proxy.counts.silenced
    # A step's name goes to the server with its outcome only.
    proxy.silence(b"joined")
    try:
        report = arena.drive(sets=2, timeout=120, count=lambda: proxy.counts.silenced - before)
    finally:
        proxy.heal()

    print(report)
    assert report.faults == 1
    assert report.recoveries[0].held


@pytest.mark.matrix(33, "network to PostgreSQL silent, then cut")
def test_a_database_out_of_reach_of_the_workers_is_waited_for(arena: Arena, proxy: Proxy) -> None:
    def part() -> None:
        proxy.hang()
        arena.under_way.send_set()
        arena.under_way.probe.wait(arenas.LEASE_TTL * 1.5)
        proxy.cut()
        proxy.heal()

    report = arena.drive(timeout=120, strikes=[Strike(5, part), Strike(20, part)])

    print(report)
    assert sum(each.held for each in report.recoveries)
