"""Events routed in few messages: the rules of stamping, keys and joins hold there too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inngest_django.engine import (
    cancellation,
    hot_path,
    matching,
    routing,
    stamping,
    sync,
    transactions,
)
from inngest_django.models import Counter, Event, IdempotencyKey, Job, Run, Step, WaitKey
from inngest_django.steps.groups import ParallelMode
from tests.concurrency.stage import Stage
from tests.engine.support import Engine, assert_sound

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


@pytest.fixture
def answered(engine: Engine, declare: Any) -> Callable[..., Run]:
    """Return a run that waits twice at once, for "test/go" and for events of a name."""

    def begin(mode: ParallelMode, *, other: str = "test/go") -> Run:
        @declare()
        def waiter(ctx):
            names = ("test/go", other)
            found = ctx.group.parallel(
                tuple(
                    lambda n=n: ctx.step.wait_for_event(f"w{n}", event=names[n], timeout="1h")
                    for n in (0, 1)
                ),
                parallel_mode=mode,
            )
            return [event and event.data["n"] for event in found]

        return engine.start("test/started")

    return begin


@pytest.mark.parametrize("mode", list(ParallelMode))
def test_both_waits_of_a_run_that_one_event_ends_leave_one_entry(
    engine: Engine, answered: Callable[..., Run], mode: ParallelMode
) -> None:
    run = answered(mode)
    engine.send("test/go", {"n": 1})
    engine.send("test/go", {"n": 2})
    assert routing.route() == 2

    [entry] = Job.objects.filter(run=run)
    assert entry.kind == "enter"
    settled = Step.objects.filter(run=run).order_by("name")
    # The first of the batch ends both; each settle has a revision of its own.
    assert [(s.status, s.output["data"]) for s in settled] == [("completed", {"n": 1})] * 2
    assert sorted(s.revision for s in settled) == [1, 2]
    run.refresh_from_db()
    assert (run.revision, run.floor_seq) == (2, 3)
    assert not WaitKey.objects.exists()
    engine.idle()
    run.refresh_from_db()
    assert_sound(run)
    assert run.output == [1, 1]


@pytest.mark.parametrize("mode", list(ParallelMode))
def test_first_of_two_waits_lets_only_a_race_go_on(
    engine: Engine, answered: Callable[..., Run], mode: ParallelMode
) -> None:
    run = answered(mode, other="test/other")
    engine.send("test/go", {"n": 1})
    routing.route()

    kinds = sorted(Job.objects.filter(run=run).values_list("kind", flat=True))
    assert kinds == (["enter", "wait"] if mode is ParallelMode.RACE else ["wait"])
    assert_sound(run)
    engine.send("test/other", {"n": 2})
    engine.idle()
    run.refresh_from_db()
    assert run.output == [1, 2]


def test_two_waits_settled_by_two_routers_leave_one_entry(
    engine: Engine, stage: Stage, answered: Callable[..., Run]
) -> None:
    run = answered(ParallelMode.WAIT, other="test/other")
    engine.send("test/go", {"n": 1})
    first = stage.actor(routing.route, "first").stop_at("route.settle_written").start().paused()
    engine.send("test/other", {"n": 2})
    second = stage.actor(routing.route, "second").start().blocked()
    first.go().done()
    second.done()

    # Decided together with the lock, both would see the other's job, and none would enter.
    assert [job.kind for job in Job.objects.filter(run=run)] == ["enter"]
    engine.idle()
    run.refresh_from_db()
    assert run.output == [1, 2]


def test_match_that_waited_for_a_cancel_changes_nothing(
    engine: Engine, stage: Stage, answered: Callable[..., Run]
) -> None:
    run = answered(ParallelMode.WAIT)
    engine.send("test/go", {"n": 1})
    cancel = stage.actor(lambda: cancellation.cancel(run.id), "cancel")
    cancel.stop_after("UPDATE .inngest_run. SET .status.").start().paused()
    router = stage.actor(routing.route, "router").start().blocked()
    cancel.go().done()

    assert router.done() == 1
    run.refresh_from_db()
    assert run.status == "cancelled"
    assert set(Step.objects.filter(run=run).values_list("status", flat=True)) == {"cancelled"}
    assert_sound(run)


def test_more_waits_than_are_read_at_once_all_end(
    engine: Engine, declare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @declare()
    def waiter(ctx):
        event = ctx.step.wait_for_event(
            "w",
            event="test/go",
            timeout="1h",
            if_exp="async.data.n == event.data.n || async.data.all == true",
        )
        return event.data["n"] if event else None

    runs = [engine.start("test/started", {"n": n % 2}) for n in range(11)]
    monkeypatch.setattr(matching, "PAGE", 2)
    monkeypatch.setattr(matching, "RUN_CHUNK", 3)
    engine.send("test/go", {"n": 1})
    engine.send("test/go", {"n": 5, "all": True})

    assert routing.route() == 2

    engine.idle()
    outputs = [Run.objects.get(pk=run.pk).output for run in runs]
    # The first event took those that it matches, whatever the second one matches.
    assert outputs == [5 if n % 2 == 0 else 1 for n in range(11)]
