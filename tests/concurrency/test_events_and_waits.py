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
    hot_path,
    routing,
    runs,
    stamping,
    sync,
    timers,
    transactions,
)
from inngest_django.models import Counter, Event, Job, Run
from tests.concurrency.stage import Stage
from tests.engine.support import Engine, assert_sound

pytestmark = pytest.mark.postgres


@pytest.fixture
def waiting(engine: Engine, declare: Any) -> Callable[[], Run]:
    """Return a run that stands before its wait, the previous result recorded."""

    @declare()
    def waiter(ctx):
        ctx.step.run("before", lambda: None)
        ctx.step.run("last before", lambda: None)
        event = ctx.step.wait_for_event("answer", event="test/go", timeout="1h")
        return event is not None

    def begin(done: int = 2) -> Run:
        event_id = engine.send("test/started")
        for _ in range(1 + done):  # Routing, and that many bodies.
            engine.step()
        return engine.run_of(event_id)

    return begin


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


@pytest.fixture(autouse=True)
def one_statement_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    # Sent in one message they leave no place to stop between them.
    monkeypatch.setattr(hot_path, "can_exchange", lambda: False)


@pytest.fixture
def no_stamp_by_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    # A wait's own stamping would hide what routing does wrong.
    only = types.SimpleNamespace(stamp=lambda: 0)
    monkeypatch.setattr(timers, "stamping", only)


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


# Row 2: the floor of a wait is the largest seq that is committed.


def _record_while_a_stamp_is_uncommitted(engine: Engine, stage: Stage, run: Run) -> bool:
    engine.send("test/go")
    engine.wants_routing = False
    router = stage.actor(routing.route, "router").stop_at("stamp.written").start().paused()
    # "last before" is recorded while the router has given a seq and not committed it.
    stage.actor(lambda: enter(run), "recorder").start().done()
    worker = stage.actor(lambda: enter(run), "worker").start().blocked()
    router.go().done()
    worker.done()
    return is_resumed(engine, run)


def test_floor_is_below_a_seq_that_is_not_committed(
    engine: Engine, stage: Stage, waiting: Callable[..., Run]
) -> None:
    assert _record_while_a_stamp_is_uncommitted(engine, stage, waiting(1))


def test_floor_from_a_sequence_that_runs_ahead_loses_the_event(
    engine: Engine, stage: Stage, waiting: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = waiting(1)
    real, given = hot_path.bump, Counter.objects.get().last_seq + 1

    def bump(cursor: Any, run_id: str) -> int:
        revision = real(cursor, run_id)
        Run.objects.filter(pk=run_id).update(floor_seq=given)
        return revision

    monkeypatch.setattr(hot_path, "can_exchange", lambda: False)
    monkeypatch.setattr(hot_path, "bump", bump)

    assert not _record_while_a_stamp_is_uncommitted(engine, stage, run)


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


# Row 5: engine locks leave rows that others refer to open for references.


def test_wait_settles_with_an_event_that_a_router_holds(
    engine: Engine, stage: Stage, waiting: Callable[..., Run]
) -> None:
    run = waiting()
    engine.send("test/go")
    router = stage.actor(routing.route).stop_at("route.start_written").start().paused()

    stage.actor(lambda: enter(run), "scan").start().done()

    assert not router.has_ended
    router.go().done()
    assert is_resumed(engine, run)


def test_router_with_a_full_row_lock_holds_up_the_scan(
    engine: Engine, stage: Stage, waiting: Callable[..., Run]
) -> None:
    run = waiting()
    engine.send("test/go")
    router = stage.actor(routing.route).rewrite("FOR NO KEY UPDATE", "FOR UPDATE")
    router.stop_at("route.start_written").start().paused()

    scan = stage.actor(lambda: enter(run), "scan").start().blocked()

    router.go().done()
    scan.done()
    assert is_resumed(engine, run)


@pytest.mark.parametrize("lock", ["FOR NO KEY UPDATE", "FOR UPDATE"])
def test_run_under_its_lock_can_be_referred_to(
    engine: Engine,
    stage: Stage,
    waiting: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    lock: str,
) -> None:
    """A rerun refers to its original; with the full lock it waits for that one's outcome."""
    monkeypatch.setattr(hot_path, "can_exchange", lambda: False)
    sync.register()
    run = waiting(1)
    outcome = stage.actor(lambda: enter(run)).rewrite("FOR NO KEY UPDATE", lock)
    outcome.stop_at("outcome.locked").start().paused()

    rerun = stage.actor(lambda: runs.rerun(run.id), "rerun").start()
    if lock == "FOR UPDATE":
        rerun.blocked()
    else:
        rerun.done()

    outcome.go().done()
    new_id = rerun.done()
    assert Run.objects.get(original_run=run).pk == new_id


# Row 6: keys of idempotency are taken in one order, each once.


def _start_in_two_orders(engine: Engine, stage: Stage, *, is_ordered: bool) -> list[str]:
    for key in ("a", "b", "b", "a"):
        engine.send("test/started", {}, id=key)
    engine.wants_routing = False
    stamping.stamp()
    events = list(Event.objects.order_by("seq"))
    insert = "INSERT INTO inngest_idempotency_key"
    first = stage.actor(lambda: routing._start(events[:2]), "first").stop_after(insert)
    second = stage.actor(lambda: routing._start(events[2:]), "second").stop_after(insert)
    first.start().paused()
    second.start()
    if is_ordered:
        second.blocked()
        first.go()
        second.paused()
    else:
        second.paused()
        first.go().blocked()
    second.go()
    for actor in (first, second):
        with contextlib.suppress(OperationalError):
            actor.done()
    return first.errors + second.errors


def test_routers_take_keys_in_one_order(engine: Engine, stage: Stage, declare: Any) -> None:
    @declare()
    def once(ctx):
        return None

    assert _start_in_two_orders(engine, stage, is_ordered=True) == []
    assert Run.objects.count() == 2
    assert not Event.objects.filter(routed_at=None).exists()


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

    errors = _start_in_two_orders(engine, stage, is_ordered=False)

    assert sortings, "routing no longer sorts keys by this name: take the rule out elsewhere"
    assert any("deadlock" in error for error in errors)


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
