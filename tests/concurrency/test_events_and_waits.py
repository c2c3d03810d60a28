"""No match is lost: stamping, the floor of waits, and what routing locks.

Each rule has two tests: with it, and with it taken out at run time, where the interleaving
breaks the promise. So the first fails when the rule goes.
"""

from __future__ import annotations

import contextlib
import itertools
import types
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError

from inngest_django.engine import (
    executor,
    routing,
    stamping,
    timers,
    transactions,
)
from inngest_django.models import Counter, Event, Job, Run
from tests.concurrency.stage import BOTH_WAYS, Stage
from tests.engine.support import Engine, assert_sound
from tests.simulation import mistakes

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("way")]


def enter(run: Run) -> None:
    executor.execute(Job.objects.get(run=run, kind="enter").pk)


def is_resumed(engine: Engine, run: Run) -> bool:
    engine.idle()
    run.refresh_from_db()
    assert_sound(run)
    return run.status == "completed" and run.output is True


# Row 1: an event has its place in the order, committed, before anybody looks for waits.


def _route_while_the_wait_opens(
    engine: Engine, stage: Stage, run: Run, route: Callable[[], object]
) -> bool:
    engine.send("test/go")
    engine.wants_routing = False
    router = stage.actor(route, "router").stop_at("route.settle_committed").start().paused()
    stage.actor(lambda: enter(run), "worker").start().done()
    router.go().done()
    return is_resumed(engine, run)


@pytest.fixture
def no_stamp_by_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    # A wait's own stamping would hide what routing does wrong.
    only = types.SimpleNamespace(stamp=lambda: 0)
    monkeypatch.setattr(timers, "stamping", only)


@BOTH_WAYS
def test_event_stamped_before_routing_is_seen_by_a_wait_that_routing_did_not_see(
    engine: Engine, stage: Stage, waiting: Callable[..., Run], no_stamp_by_waits: None
) -> None:
    assert _route_while_the_wait_opens(engine, stage, waiting(), routing.route)


def test_event_stamped_and_routed_in_one_transaction_is_lost(
    engine: Engine, stage: Stage, waiting: Callable[..., Run], no_stamp_by_waits: None
) -> None:
    def route() -> None:
        with transactions.write():
            routing.route()

    assert not _route_while_the_wait_opens(engine, stage, waiting(), route)


def test_event_whose_waits_are_scanned_before_its_place_is_committed_is_lost(
    engine: Engine, stage: Stage, waiting: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    early = mistakes.named("scan waits before the event commits")
    early.apply(monkeypatch, None)  # type: ignore[arg-type]

    assert not _route_while_the_wait_opens(engine, stage, waiting(), routing.route)


# Row 2: the floor of a wait is the largest seq that is committed.


def _record_while_a_stamp_is_uncommitted(
    engine: Engine, stage: Stage, run: Run, *, floor: str = ""
) -> bool:
    engine.send("test/go")
    engine.wants_routing = False
    router = stage.actor(routing.route, "router").stop_at("stamp.written").start().paused()
    # "last before" is recorded while the router has given a seq and not committed it.
    recorder = stage.actor(lambda: enter(run), "recorder")
    if floor:
        recorder.rewrite(r"(?<=floor_seq = )coalesce\(\(SELECT last_seq .*?\), 0\)", floor)
    recorder.start().done()
    worker = stage.actor(lambda: enter(run), "worker").start().blocked()
    router.go().done()
    worker.done()
    return is_resumed(engine, run)


@BOTH_WAYS
def test_floor_is_below_a_seq_that_is_not_committed(
    engine: Engine, stage: Stage, waiting: Callable[..., Run]
) -> None:
    assert _record_while_a_stamp_is_uncommitted(engine, stage, waiting(1))


@BOTH_WAYS
def test_floor_from_a_sequence_that_runs_ahead_loses_the_event(
    engine: Engine, stage: Stage, waiting: Callable[..., Run]
) -> None:
    run = waiting(1)
    given = Counter.objects.get().last_seq + 1

    assert not _record_while_a_stamp_is_uncommitted(engine, stage, run, floor=f"{given}")


# Row 3: stamping is one at a time, so that seq is the order of commits.


def _stamp_twice_at_once(engine: Engine, stage: Stage, run: Run, *, is_serial: bool) -> bool:
    engine.send("test/go")
    first = stage.actor(routing.route, "first router")
    first.stop_before("UPDATE inngest_counter").start().paused()
    engine.send("test/other")
    engine.wants_routing = False
    second = stage.actor(stamping.stamp, "second router").start()
    if is_serial:
        second.blocked()
    else:
        second.done()
    stage.actor(lambda: enter(run), "recorder").start().done()
    worker = stage.actor(lambda: enter(run), "worker").start()
    if is_serial:
        worker.blocked()
    else:
        worker.done()
    first.go().done()
    second.done()
    worker.done()
    return is_resumed(engine, run)


def test_second_stamping_waits_for_the_first(
    engine: Engine, stage: Stage, waiting: Callable[..., Run]
) -> None:
    assert _stamp_twice_at_once(engine, stage, waiting(1), is_serial=True)


def test_stamping_side_by_side_loses_the_event(
    engine: Engine, stage: Stage, waiting: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = waiting(1)
    sequence = itertools.count(Counter.objects.get().last_seq)
    monkeypatch.setattr(stamping, "_lock_counter", lambda cursor: next(sequence))

    assert not _stamp_twice_at_once(engine, stage, run, is_serial=False)


# Row 6: keys of idempotency are taken in one order, each once.


def _start_in_two_orders(engine: Engine, stage: Stage) -> list[str]:
    """Two routers want a, m, z and z, m, a while somebody holds m; return their errors."""
    for key in ("m", "a", "m", "z", "z", "m", "a"):
        engine.send("test/started", {}, id=key)
    engine.wants_routing = False
    stamping.stamp()
    events = list(Event.objects.order_by("seq"))
    holder = stage.actor(lambda: routing._start(events[:1]), "holder")
    holder.stop_at("route.start_written").start().paused()
    routers = [
        stage.actor(lambda batch=batch: routing._start(batch)).start().blocked()
        for batch in (events[1:4], events[4:])
    ]
    holder.go().done()
    for router in routers:
        with contextlib.suppress(OperationalError):
            router.done()
    return [error for router in routers for error in router.errors]


@BOTH_WAYS
def test_routers_take_keys_in_one_order(engine: Engine, stage: Stage, declare: Any) -> None:
    @declare()
    def once(ctx):
        return None

    assert _start_in_two_orders(engine, stage) == []
    assert Run.objects.count() == 3
    assert not Event.objects.filter(routed_at=None).exists()


@BOTH_WAYS
def test_routers_that_take_keys_as_they_come_deadlock(
    engine: Engine, stage: Stage, declare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @declare()
    def once(ctx):
        return None

    sortings = []

    def unsorted(items: Any, **_: Any) -> list[Any]:
        sortings.append(1)
        return list(items)

    monkeypatch.setattr(routing, "sorted", unsorted, raising=False)

    errors = _start_in_two_orders(engine, stage)

    assert sortings, "routing no longer sorts keys by this name: take the rule out elsewhere"
    assert any("deadlock" in error for error in errors)


@BOTH_WAYS
def test_id_that_is_twice_in_a_batch_starts_once_and_routes_both(
    engine: Engine, declare: Any
) -> None:
    @declare()
    def once(ctx):
        return None

    engine.send("test/started", {}, id="a")
    engine.send("test/started", {}, id="a")
    routing.route()

    assert Run.objects.count() == 1
    assert not Event.objects.filter(routed_at=None).exists()
