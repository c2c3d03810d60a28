"""Events routed in few messages: the rules of stamping and of keys hold there too."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inngest_django.engine import hot_path, routing, stamping, sync, transactions
from inngest_django.models import Counter, Event, IdempotencyKey, Job, Run
from tests.concurrency.stage import Stage
from tests.engine.support import Engine

pytestmark = pytest.mark.postgres


@pytest.fixture(autouse=True)
def sent_together(engine: Engine) -> None:
    assert hot_path.can_exchange()
    Counter.objects.get_or_create(id=1)


@pytest.fixture
def once(declare: Any) -> None:
    @declare()
    def once(ctx):
        return None


def seqs() -> list[int]:
    return list(Event.objects.order_by("received_at", "id").values_list("seq", flat=True))


def test_stamping_goes_on_from_what_the_holder_of_the_counter_committed(
    engine: Engine, stage: Stage
) -> None:
    engine.send("test/first")
    first = stage.actor(stamping.stamp, "first").stop_at("stamp.written").start().paused()
    engine.send("test/second")
    second = stage.actor(stamping.stamp, "second").start().blocked()
    assert Event.objects.filter(seq=None).count() == 2
    first.go().done()
    second.done()

    # A place that was given twice, or out of order, is an event that a wait misses.
    assert seqs() == [1, 2]
    assert Counter.objects.get().last_seq == 2


def test_counter_that_does_not_exist_yet_is_made(engine: Engine) -> None:
    Counter.objects.all().delete()
    engine.send("test/first")
    engine.send("test/second")

    assert stamping.stamp(is_expected=True) == 2
    assert seqs() == [1, 2]


def test_two_routers_start_an_event_once(engine: Engine, stage: Stage, once: None) -> None:
    engine.send("test/started")
    first = stage.actor(routing.route, "first").stop_at("route.start_written").start().paused()

    # It does not wait for the other: what that one holds is its own to route.
    assert stage.actor(routing.route, "second").start().done() == 0
    assert first.go().done() == 1

    assert Run.objects.count() == 1
    assert Job.objects.count() == 1


def test_router_that_waited_for_a_key_finds_it_taken(
    engine: Engine, stage: Stage, once: None
) -> None:
    engine.send("test/started", {}, id="same")
    engine.send("test/started", {}, id="same")
    stamping.stamp()
    one, other = Event.objects.order_by("seq")
    first = stage.actor(lambda: routing._start([one]), "first").stop_at("route.start_written")
    first.start().paused()
    second = stage.actor(lambda: routing._start([other]), "second").start().blocked()
    first.go().done()
    assert second.done() == 1

    run = Run.objects.get()
    assert (run.event_id, IdempotencyKey.objects.get().run_id) == (one.pk, run.pk)
    assert not Event.objects.filter(routed_at=None).exists()


def test_event_leaves_its_key_to_the_one_before_it_that_another_router_holds(
    engine: Engine, stage: Stage, once: None
) -> None:
    engine.send("test/started", {}, id="same")
    first = stage.actor(routing.route, "first").stop_at("route.start_written").start().paused()
    engine.send("test/started", {}, id="same")

    assert stage.actor(routing.route, "second").start().done() == 1
    first.go().done()

    assert Run.objects.get().event_id == Event.objects.earliest("seq").pk
    assert not Event.objects.filter(routed_at=None).exists()


@pytest.mark.parametrize("by", ["event id", "expression"])
def test_keys_start_once_until_they_expire(engine: Engine, declare: Any, by: str) -> None:
    @declare(idempotency="event.data.order" if by == "expression" else None)
    def once(ctx):
        return None

    def send(number: int) -> None:
        if by == "expression":
            engine.send("test/started", {"order": 'a"{,}\\é'})
        else:
            engine.send("test/started", {"n": number}, id='a"{,}\\é')

    for number in range(3):  # In one batch, then in another.
        send(number)
    assert routing.route() == 3
    send(3)
    assert routing.route() == 1
    assert Run.objects.count() == 1

    IdempotencyKey.objects.update(expires_at=transactions.now())
    send(4)
    routing.route()

    assert Run.objects.count() == 2
    assert IdempotencyKey.objects.get().run_id == Run.objects.latest("event__seq").pk


@pytest.mark.parametrize("count", [1, 60])
def test_any_number_of_events_is_routed_in_three_messages(
    engine: Engine, once: None, count: int
) -> None:
    for _ in range(count):
        engine.send("test/started")

    sync.foreign()  # Asked for now and then.

    with CaptureQueriesContext(connection) as messages:
        assert routing.route() == count

    # Stamp, read, start.
    assert len(messages) == 3
    assert Run.objects.count() == Job.objects.count() == count
