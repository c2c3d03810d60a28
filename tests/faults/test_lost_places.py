"""A PostgreSQL server that crashes before the places of events reached its disk.

Stamping does not wait for the disk. What a router knows of its batch is then of a world that
is gone, while the events are not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import pytest
from django.core.management import call_command
from django.db import Error as DatabaseError
from django.db import connections

from inngest_django import Cancel, ContextSync, Inngest, TriggerEvent, clock, conf
from inngest_django.engine import crash_points, executor, routing, transactions
from inngest_django.functions import registry
from inngest_django.models import Counter, Event, Job, Run, Wait
from tests import ledger
from tests.engine.conftest import engine
from tests.engine.support import Engine
from tests.faults import audit, places, recovery, verdicts
from tests.faults.arena import TICK
from tests.faults.recovery import metronome
from tests.faults.servers import Postgres
from tests.processes import wait_until

__all__ = ["engine"]
pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]
T = TypeVar("T")
TRIES = 5
# A lease that its holder does not know of any more, two ticks, and a busy machine.
BOUND = conf.get().LEASE_TTL.total_seconds() + 2 * TICK + 10


@pytest.fixture
def client() -> Inngest:
    """The client of functions that the checker knows as the fault tests'."""
    return Inngest(app_id="faults", is_production=False)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def moved(engine: Engine, cluster: Postgres) -> Iterator[Engine]:
    """The engine of this process on that cluster, with the cluster's clock."""
    with places.tables(cluster):
        call_command("flush", verbosity=0, interactive=False)
        Counter.objects.create(id=1)
        clock.move(None)
        audit.install()
        try:
            yield engine
        finally:
            audit.remove()


@pytest.mark.matrix(6, "PostgreSQL stopped before it kept the places of events")
@pytest.mark.parametrize(
    "point",
    [
        "stamp.committed",
        "route.before_settle",
        "route.settle_committed",
        "route.start_written",
    ],
)
@pytest.mark.parametrize("is_locked", [False, True], ids=["at once", "with cancel rules"])
def test_events_that_lost_their_places_are_not_lost(
    moved: Engine, client: Inngest, cluster: Postgres, point: str, is_locked: bool
) -> None:
    """An answer is routed after it has a place again, so that its wait finds it."""
    registry.register(_waiter(client, "1h"))
    if is_locked:
        registry.register(_echo(client))

    def route() -> tuple[str, str]:
        ids = moved.send("test/started"), moved.send("test/answer")
        # Whether the router outlives the crash depends on the point.
        with contextlib.suppress(DatabaseError):
            routing.route()
        return ids

    with metronome() as probe:
        event_id, answer_id = _losing_places(cluster, point, route)
        assert not Event.objects.filter(seq=None).exclude(routed_at=None).exists()
        held = recovery.cleared()

        # As the tick does, which finds what is neither stamped nor routed.
        moved.tick()
        wait_until(lambda: moved.tick() or moved.run_of(event_id).ended_at, what="end of the run")
        _check(moved, held, probe, Run.objects.filter(event__in=[event_id, answer_id]))
    assert moved.run_of(event_id).output is True
    outputs = list(Run.objects.filter(event=answer_id).values_list("output", flat=True))
    assert outputs == ["heard"] * is_locked


@pytest.mark.matrix(6, "PostgreSQL stopped before it kept the places of events")
def test_a_wait_does_not_time_out_over_an_event_that_lost_its_place(
    moved: Engine, client: Inngest, cluster: Postgres
) -> None:
    registry.register(_waiter(client, "1s"))

    def look() -> str:
        run = moved.start("test/started")
        moved.send("test/answer")
        expiry = Wait.objects.get(run=run).expires_at
        wait_until(lambda: transactions.now() >= expiry, what="expiry")
        executor.execute(Job.objects.get(run=run).pk)
        return str(run.pk)

    with metronome() as probe:
        run_id = _losing_places(cluster, "timer.start", look)
        held = recovery.cleared()

        wait_until(
            lambda: moved.tick() or Run.objects.get(pk=run_id).ended_at, what="end of the run"
        )
        _check(moved, held, probe, Run.objects.filter(pk=run_id))
    assert Run.objects.get(pk=run_id).output is True


def _check(
    moved: Engine, held: recovery.Held, probe: recovery.Metronome, runs: Iterable[Run]
) -> None:
    """Compare rows and ledger, and how long it took, as after every other fault."""
    found = recovery.recovery(held, probe)
    assert found.held
    assert [*audit.check(runs), *found.problems(BOUND)] == []
    for run in runs:
        assert ledger.order(run.id) == ["begin work", "end work"]
    # The events of their ends are the next tick's.
    wait_until(
        lambda: moved.tick() or not Event.objects.filter(routed_at=None).exists(),
        what="routing of every event",
    )
    verdicts.note(runs=len(list(runs)), recoveries=[found.seconds])


def _work(run_id: str) -> None:
    ledger.note(run_id, "begin work")
    ledger.note(run_id, "end work")


def _waiter(client: Inngest, timeout: str) -> Any:
    @client.create_function(fn_id="place-waiter", trigger=TriggerEvent(event="test/started"))
    def waiter(ctx: ContextSync) -> bool:
        found = ctx.step.wait_for_event("w", event="test/answer", timeout=timeout, lookback="run")
        ctx.step.run("work", _work, ctx.run_id)
        return found is not None

    return waiter


def _echo(client: Inngest) -> Any:
    @client.create_function(
        fn_id="place-echo",
        trigger=TriggerEvent(event="test/answer"),
        cancel=[Cancel(event="test/stop")],
    )
    def echo(ctx: ContextSync) -> str:
        ctx.step.run("work", _work, ctx.run_id)
        return "heard"

    return echo


def _losing_places(cluster: Postgres, point: str, work: Callable[[], T]) -> T:
    """Do this with the server crashing at a point; again while the server kept the places.

    It writes full pages of its log by itself, whatever waits for them.
    """
    is_lost: list[bool] = []

    def crash(name: str) -> None:
        if name == "lease.taken":
            # Kept, so that the worker may go on with what it has lost.
            with cluster.connect() as session:  # type: ignore[attr-defined]
                session.execute("CHECKPOINT")
        # A wait comes to its point when it is new, too, with no event stamped and not routed.
        if name != point or is_lost or not _count_stamped(cluster):
            return
        cluster.crash()
        cluster.start()
        is_lost.append(not _count_stamped(cluster))

    for _ in range(TRIES):
        is_lost.clear()
        crash_points.install(crash)
        try:
            result = work()
        finally:
            crash_points.install(None)
            connections["default"].close()
        verdicts.note(faults=1)
        if is_lost == [True]:
            return result
        assert is_lost, f"nobody came to {point}"
        Event.objects.filter(routed_at=None).delete()
        Run.objects.all().delete()
    raise AssertionError(f"the server kept the places {TRIES} times")


def _count_stamped(cluster: Postgres) -> int:
    with cluster.connect(places.DATABASE) as session:  # type: ignore[attr-defined]
        [(count,)] = session.execute(
            "SELECT count(*) FROM inngest_event WHERE routed_at IS NULL AND seq IS NOT NULL"
        ).fetchall()
    return int(count)
