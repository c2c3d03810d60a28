"""The protocol's rules, each driven through the interleaving that breaks engines without it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group

from inngest_django import ids
from inngest_django.client import Inngest
from inngest_django.engine import (
    cancellation,
    crash_points,
    executor,
    hot_path,
    recovery,
    routing,
    stamping,
    transactions,
)
from inngest_django.errors import StepError
from inngest_django.functions import registry
from inngest_django.functions.triggers import TriggerEvent
from inngest_django.models import Attempt, Event, Job, Run, Step, Wait, WaitKey
from inngest_django.steps.groups import ParallelMode
from tests.engine.support import Engine, assert_sound, steps_of
from tests.simulation import mistakes

TRIGGER = TriggerEvent(event="test/started")
LEASE = dt.timedelta(seconds=25)


def declare(client: Inngest, **options: Any) -> Any:
    """Return a decorator that declares and registers a function."""

    def decorate(handler: Any) -> Any:
        options.setdefault("fn_id", handler.__name__)
        options.setdefault("trigger", TRIGGER)
        function = client.create_function(**options)(handler)
        registry.register(function)
        return function

    return decorate


class Died(BaseException):
    """Stands for a worker that is killed: nothing after it runs."""


@pytest.fixture
def dying() -> Iterator[list[int]]:
    """A worker whose code puts something into the list dies before it can report."""
    wanted: list[int] = []

    def die(name: str) -> None:
        if name == "call.end" and wanted:
            wanted.clear()
            raise Died

    crash_points.install(die)
    yield wanted
    crash_points.install(None)


def test_steps_of_a_run_complete_in_order(engine: Engine, client: Inngest) -> None:
    calls = []

    @declare(client)
    def two(ctx):
        a = ctx.step.run("a", lambda: calls.append("a") or [1, {"x": None}])
        b = ctx.step.run("b", lambda: calls.append("b") or len(a))
        return {"a": a, "b": b}

    run = engine.start("test/started")

    assert run.status == "completed"
    assert run.output == {"a": [1, {"x": None}], "b": 2}
    assert calls == ["a", "b"]
    assert [s.status for s in steps_of(run).values()] == ["completed", "completed"]
    assert_sound(run)


def test_every_hint_lost_ticks_bring_the_run_to_its_end(engine: Engine, client: Inngest) -> None:
    @declare(client)
    def three(ctx):
        for name in "abc":
            ctx.step.run(name, lambda: None)
        return "done"

    event_id = engine.send("test/started")
    for _ in range(40):
        engine.lose_hints()
        recovery.tick()
        # One thing a tick, everything that it hinted beyond that is lost as well.
        engine.step()
        if Run.objects.filter(event_id=event_id, status="completed").exists():
            break
        from inngest_django import clock

        clock.move(transactions.now() + dt.timedelta(seconds=16))

    assert engine.run_of(event_id).output == "done"


def test_every_hint_delivered_three_times_runs_each_body_once(
    engine: Engine, client: Inngest
) -> None:
    calls = []

    @declare(client)
    def fan(ctx):
        ctx.step.run("first", lambda: calls.append("first"))
        ctx.group.parallel(
            tuple(lambda n=n: ctx.step.run(f"p{n}", lambda: calls.append(n)) for n in range(3))
        )
        ctx.step.run("last", lambda: calls.append("last"))

    publish = engine.execute
    engine.execute = lambda found: publish([hint for hint in found for _ in range(3)])
    run = engine.start("test/started")

    assert run.status == "completed"
    assert sorted(map(str, calls)) == sorted(["first", "0", "1", "2", "last"])


def test_a_stale_worker_writes_nothing(engine: Engine, client: Inngest) -> None:
    calls = []

    @declare(client)
    def slow(ctx):
        def body() -> str:
            calls.append(1)
            if len(calls) == 1:
                # Meanwhile the lease expires and another worker takes the job over.
                Job.objects.filter(run_id=ctx.run_id).update(lease_token=4711)
                return "stale"
            return "fresh"

        return ctx.step.run("body", body)

    run = engine.start("test/started")
    assert run.status == "running"
    assert not Step.objects.filter(run=run).exists()
    engine.advance(LEASE)

    run.refresh_from_db()
    assert run.output == "fresh"
    assert steps_of(run)["body"].output == "fresh"


def test_a_dead_worker_in_a_body_gives_the_step_a_job_of_its_own(
    engine: Engine, client: Inngest, dying: list[int]
) -> None:
    deaths = []

    @declare(client, retries=2)
    def dies_once(ctx):
        def body() -> str:
            if not deaths:
                deaths.append(1)
                dying.append(1)
            return "alive"

        return ctx.step.run("body", body)

    event_id = engine.send("test/started")
    with pytest.raises(Died):
        engine.idle()
    run = engine.run_of(event_id)
    assert_sound(run)
    engine.advance(LEASE)

    run.refresh_from_db()
    assert run.output == "alive"
    assert [a.error["code"] for a in Attempt.objects.filter(run=run)] == ["worker_lost"]


def test_a_step_that_kills_its_workers_ends_as_failed(
    engine: Engine, client: Inngest, dying: list[int]
) -> None:
    deaths = []

    @declare(client, retries=1)
    def poison(ctx):
        def body() -> None:
            deaths.append(1)
            dying.append(1)

        try:
            ctx.step.run("poison", body)
        except StepError as error:
            return error.name
        return "survived"

    event_id = engine.send("test/started")
    for _ in range(12):
        try:
            engine.advance(LEASE)
        except Died:
            continue
        if not engine.run_of(event_id).is_live:
            break

    run = engine.run_of(event_id)
    assert run.output == "WorkerLostError"
    assert steps_of(run)["poison"].status == "failed"
    # One inline try, then the step's own: bounded, and not fewer than its attempts.
    assert 2 <= len(deaths) <= 5


def _let_code_kill_workers(engine: Engine, client: Inngest, dying: list[int]) -> tuple[Run, int]:
    """Return a run whose code kills each of a dozen workers, and how many it did kill."""
    deaths = []

    @declare(client)
    def poison(ctx):
        deaths.append(1)
        dying.append(1)

    event_id = engine.send("test/started")
    for _ in range(12):
        try:
            engine.advance(LEASE)
        except Died:
            continue
        if not engine.run_of(event_id).is_live:
            break
    return engine.run_of(event_id), len(deaths)


def test_function_code_that_kills_its_workers_fails_the_run(
    engine: Engine, client: Inngest, dying: list[int]
) -> None:
    run, deaths = _let_code_kill_workers(engine, client, dying)

    assert run.status == "failed"
    assert run.error["code"] == "worker_lost"
    assert deaths <= 6


def test_function_code_that_kills_its_workers_kills_them_for_ever_without_a_bound(
    engine: Engine, client: Inngest, dying: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    unbound = mistakes.named("do not bound how often an entry is lost")
    unbound.apply(monkeypatch, None)  # type: ignore[arg-type]

    run, deaths = _let_code_kill_workers(engine, client, dying)

    assert (run.status, deaths) == ("running", 12)


def test_a_cancel_while_a_body_runs_refuses_its_result(engine: Engine, client: Inngest) -> None:
    @declare(client)
    def cancelled(ctx):
        def body() -> str:
            assert cancellation.cancel(ctx.run_id, reason="by the test")
            return "too late"

        ctx.step.run("body", body)
        ctx.step.run("never", lambda: None)

    run = engine.start("test/started")

    assert run.status == "cancelled"
    assert not Step.objects.filter(run=run, status="completed").exists()
    assert_sound(run)
    assert Event.objects.filter(name="inngest/function.cancelled", external_id=run.id).exists()


def test_parallel_branches_join_once(engine: Engine, client: Inngest) -> None:
    entries = []

    @declare(client)
    def fan(ctx):
        entries.append(1)
        return ctx.group.parallel(
            tuple(lambda n=n: ctx.step.run(f"p{n}", lambda: n) for n in range(5))
        )

    run = engine.start("test/started")

    assert run.output == [0, 1, 2, 3, 4]
    assert len(entries) == 1 + 5 + 1
    assert_sound(run)


def test_an_entry_over_older_results_is_followed_by_another(
    engine: Engine, client: Inngest
) -> None:
    """Row 21: a piece settles while an entry is running; its job must not be lost."""
    settle_during_entry: list[int] = []

    @declare(client)
    def race(ctx):
        def left() -> str:
            ctx.step.run("a1", lambda: 1)
            if settle_during_entry:
                job_id = settle_during_entry.pop()
                executor.execute(job_id)
            return ctx.step.run("a2", lambda: 2)

        def right() -> str:
            ctx.step.run("b1", lambda: 1)
            return ctx.step.run("b2", lambda: 2)

        return ctx.group.parallel((left, right), parallel_mode=ParallelMode.RACE)

    event_id = engine.send("test/started")
    engine.step()  # routing
    engine.step()  # the plan: a1, b1
    run = engine.run_of(event_id)
    jobs = {j.step.name: j.pk for j in Job.objects.filter(run=run, kind="step")}
    executor.execute(jobs["a1"])
    settle_during_entry.append(jobs["b1"])
    engine.idle()

    run.refresh_from_db()
    assert run.status == "completed"
    assert run.output == [2, 2]


def test_in_a_race_a_settle_enters_while_a_loser_is_open(engine: Engine, client: Inngest) -> None:
    """Row 15: c settles, is no piece of the race itself, and still something must enter."""

    @declare(client, retries=0)
    def race(ctx):
        def fails() -> None:
            raise ValueError("first")

        try:
            ctx.group.parallel(
                (
                    lambda: ctx.step.sleep("slow", "30d"),
                    lambda: ctx.step.run("fails", fails),
                ),
                parallel_mode=ParallelMode.RACE,
            )
        except StepError:
            ctx.step.run("c", lambda: None)
            ctx.step.run("d", lambda: None)
        return "over"

    run = engine.start("test/started")

    assert run.status == "completed"
    assert run.output == "over"
    assert steps_of(run)["slow"].status == "cancelled"
    assert_sound(run)


def test_a_sleep_never_ends_early_and_holds_nothing(engine: Engine, client: Inngest) -> None:
    @declare(client)
    def sleeper(ctx):
        ctx.step.sleep("nap", "3d")
        return "awake"

    run = engine.start("test/started")
    engine.advance(dt.timedelta(days=2, hours=23))
    run.refresh_from_db()
    assert run.status == "running"
    assert Job.objects.get(run=run).lease_token is None
    engine.advance(dt.timedelta(hours=1, seconds=1))

    run.refresh_from_db()
    assert run.output == "awake"


def test_a_wait_is_resumed_by_a_matching_event_only(engine: Engine, client: Inngest) -> None:
    @declare(client)
    def waiter(ctx):
        event = ctx.step.wait_for_event(
            "w", event="test/go", if_exp="event.data.id == async.data.id", timeout="1h"
        )
        return event.data if event else None

    run = engine.start("test/started", {"id": 7})
    engine.send("test/go", {"id": 8})
    engine.idle()
    run.refresh_from_db()
    assert run.status == "running"
    engine.send("test/go", {"id": 7, "n": 1})
    engine.idle()

    run.refresh_from_db()
    assert run.output == {"id": 7, "n": 1}
    assert Wait.objects.get(run=run).status == "matched"
    assert not WaitKey.objects.exists()


def test_a_wait_times_out_with_none(engine: Engine, client: Inngest) -> None:
    @declare(client)
    def waiter(ctx):
        return ctx.step.wait_for_event("w", event="test/go", timeout="1h") is None

    run = engine.start("test/started")
    engine.advance(dt.timedelta(hours=1, seconds=1))

    run.refresh_from_db()
    assert run.output is True
    assert steps_of(run)["w"].status == "timed_out"


def test_an_event_between_the_previous_result_and_the_wait_resumes_it(
    engine: Engine, client: Inngest
) -> None:
    """Row 22: the floor is what was committed when the previous result was recorded."""

    @declare(client)
    def waiter(ctx):
        ctx.step.run("before", lambda: None)
        event = ctx.step.wait_for_event("w", event="test/go", timeout="1h")
        return event.data["n"] if event else None

    event_id = engine.send("test/started")
    engine.step()  # routing
    engine.step()  # the step "before"
    engine.send("test/go", {"n": 1})
    routing.route()
    engine.idle()

    assert engine.run_of(event_id).output == 1


def test_an_event_that_was_committed_in_time_beats_the_time_out(
    engine: Engine, client: Inngest
) -> None:
    """Row 10: the router is behind; the time-out's own scan finds the event."""

    @declare(client)
    def waiter(ctx):
        event = ctx.step.wait_for_event("w", event="test/go", timeout="1h")
        return event is not None

    run = engine.start("test/started")
    engine.send("test/go")
    engine.lose_hints()
    from inngest_django import clock

    clock.move(transactions.now() + dt.timedelta(hours=2))
    executor.execute(Job.objects.get(run=run).pk)
    engine.idle()

    run.refresh_from_db()
    assert run.output is True


def test_a_worker_that_dies_before_the_scan_leaves_the_wait_to_its_job(
    engine: Engine, client: Inngest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 1 and its crash: the event came before the wait, and nobody scanned."""
    from inngest_django.engine import timers

    @declare(client)
    def waiter(ctx):
        ctx.step.run("before", lambda: None)
        event = ctx.step.wait_for_event("w", event="test/go", timeout="1h")
        return event is not None

    event_id = engine.send("test/started")
    engine.step()
    engine.step()
    engine.send("test/go")
    routing.route()

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(timers, "work", die)
        with pytest.raises(Died):
            engine.idle()
    run = engine.run_of(event_id)
    assert_sound(run)
    engine.advance(LEASE)

    run.refresh_from_db()
    assert run.output is True


def test_the_runs_own_event_never_resumes_it(engine: Engine, client: Inngest) -> None:
    @declare(client)
    def waiter(ctx):
        event = ctx.step.wait_for_event("w", event="test/started", timeout="1h", lookback="run")
        return event.data if event else None

    run = engine.start("test/started", {"n": 1})
    assert run.status == "running"
    other = engine.send("test/started", {"n": 2})
    engine.idle()

    run.refresh_from_db()
    assert run.output == {"n": 2}
    assert other != run.event_id


def test_lookback_finds_an_event_from_before_the_run(engine: Engine, client: Inngest) -> None:
    @declare(client)
    def waiter(ctx):
        event = ctx.step.wait_for_event("w", event="test/go", timeout="1h", lookback="10m")
        return event.data["n"] if event else None

    engine.send("test/go", {"n": 5})
    engine.idle()
    run = engine.start("test/started")

    assert run.output == 5


def test_lookback_to_the_run_works_in_an_invoked_run(engine: Engine, client: Inngest) -> None:
    @declare(client, trigger=[])
    def child(ctx):
        ctx.step.run("meanwhile", lambda: engine.send("test/go", {"n": 3}) and None)
        ctx.step.sleep("until it is routed", "1m")
        event = ctx.step.wait_for_event("w", event="test/go", timeout="1h", lookback="run")
        return event.data["n"] if event else None

    @declare(client)
    def parent(ctx):
        return ctx.step.invoke("call", function=child)

    engine.send("test/go", {"n": 1})
    engine.idle()
    run = engine.start("test/started")
    engine.advance(dt.timedelta(minutes=1, seconds=1))

    run.refresh_from_db()
    assert run.output == 3


def test_an_invoked_child_that_ends_while_the_job_is_held_is_seen(
    engine: Engine, client: Inngest
) -> None:
    @declare(client, trigger=[])
    def child(ctx):
        return ctx.event.data["n"] ** 2

    @declare(client)
    def parent(ctx):
        return ctx.step.invoke("call", function=child, data={"n": 4})

    run = engine.start("test/started")

    assert run.output == 16
    assert Run.objects.get(function_id="test-child").parent.name == "call"


def test_an_invoke_that_times_out_fails_the_step_and_leaves_the_child(
    engine: Engine, client: Inngest
) -> None:
    @declare(client, trigger=[])
    def child(ctx):
        ctx.step.sleep("long", "2h")
        return 1

    @declare(client)
    def parent(ctx):
        try:
            ctx.step.invoke("call", function=child, timeout="1h")
        except StepError as error:
            return error.name

    run = engine.start("test/started")
    engine.advance(dt.timedelta(hours=1, seconds=1))

    run.refresh_from_db()
    assert run.output == "InngestInvokeTimeoutError"
    assert Run.objects.get(function_id="test-child").is_live


def test_a_transaction_step_commits_its_rows_with_its_result(
    engine: Engine, client: Inngest
) -> None:
    @declare(client, retries=1)
    def writer(ctx):
        def body() -> int:
            Group.objects.create(name="g")
            if ctx.attempt == 0:
                raise ValueError("after the write")
            return Group.objects.count()

        return ctx.step.transaction("write", body)

    run = engine.start("test/started")
    engine.advance(dt.timedelta(minutes=2))

    run.refresh_from_db()
    assert run.output == 1
    assert Group.objects.count() == 1
    assert steps_of(run)["write"].attempt_count == 2


def test_a_transaction_step_whose_lease_was_lost_writes_nothing(
    engine: Engine, client: Inngest
) -> None:
    tries = []

    @declare(client)
    def writer(ctx):
        def body() -> int:
            tries.append(1)
            Group.objects.create(name=f"g{len(tries)}")
            if len(tries) == 1:
                Job.objects.filter(run_id=ctx.run_id).update(lease_token=4711)
            return len(tries)

        return ctx.step.transaction("write", body)

    run = engine.start("test/started")
    assert Group.objects.count() == 0
    engine.advance(LEASE)

    run.refresh_from_db()
    # The takeover was part of the rolled-back transaction too, so the first lease expired.
    assert run.status == "completed"
    assert Group.objects.count() == 1


def test_a_function_unknown_to_the_worker_waits_and_says_so(
    engine: Engine, client: Inngest
) -> None:
    @declare(client)
    def newcomer(ctx):
        return "known"

    event_id = engine.send("test/started")
    engine.step()
    with registry.only([]):
        engine.idle()
    run = engine.run_of(event_id)
    job = Job.objects.get(run=run)
    assert "newcomer" in job.note
    assert job.attempt == 0
    assert (run.status, run.started_at) == ("queued", None)
    engine.advance(dt.timedelta(seconds=10))

    run.refresh_from_db()
    assert run.output == "known"


def test_a_job_whose_lease_is_lost_before_the_body_does_not_start_it(
    engine: Engine, client: Inngest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 18: the worker stalls between the lease and the body."""
    from inngest_django.engine.leases import Lease

    calls = []

    @declare(client)
    def one(ctx):
        ctx.step.run("body", lambda: calls.append(1))

    event_id = engine.send("test/started")
    with monkeypatch.context() as patch:
        patch.setattr(Lease, "is_alive", lambda self: False)
        engine.idle()

    assert calls == []
    assert engine.run_of(event_id).status == "running"


def test_an_expired_lease_that_nobody_took_may_still_report(
    engine: Engine, client: Inngest
) -> None:
    from inngest_django import clock

    @declare(client)
    def slow(ctx):
        def body() -> str:
            clock.move(transactions.now() + LEASE)
            return "late"

        return ctx.step.run("body", body)

    run = engine.start("test/started")

    assert run.output == "late"


def test_a_draining_worker_charges_nothing(engine: Engine, client: Inngest) -> None:
    @declare(client, retries=0)
    def one(ctx):
        return ctx.attempt

    event_id = engine.send("test/started")
    engine.step()
    [job] = Job.objects.all()
    assert hot_path.lease(job.pk, token=1, owner="w1", ttl=20, is_draining=False)
    hot_path.mark_draining("w1")
    engine.advance(LEASE)

    run = engine.run_of(event_id)
    assert run.output == 0
    assert not Attempt.objects.filter(run=run).exists()


def test_only_one_event_id_starts_a_function_within_a_day(engine: Engine, client: Inngest) -> None:
    @declare(client)
    def once(ctx):
        return None

    engine.send("test/started", id="order-1")
    engine.send("test/started", id="order-1")
    engine.idle()
    engine.send("test/started", id="order-1")
    engine.idle()

    assert Run.objects.count() == 1
    assert Event.objects.filter(name="test/started").count() == 3

    engine.advance(dt.timedelta(hours=25))
    engine.send("test/started", id="order-1")
    engine.idle()
    assert Run.objects.count() == 2


def test_a_cancel_rule_sees_an_event_that_was_routed_before_it_was_stored(
    engine: Engine, client: Inngest
) -> None:
    """Row 4: the first entry compares the rules with what came in between."""
    from inngest_django.functions.flow_control import Cancel

    @declare(client, cancel=[Cancel(event="test/stop", if_exp="event.data.id == async.data.id")])
    def stoppable(ctx):
        return "ran"

    event_id = engine.send("test/started", {"id": 1})
    engine.send("test/stop", {"id": 1})
    stamping.stamp()
    # The stop is routed by somebody whose scan ran before the run existed.
    Event.objects.filter(name="test/stop").update(routed_at=transactions.now())
    engine.idle()

    assert engine.run_of(event_id).status == "cancelled"


def test_the_order_of_events_is_the_databases_not_that_of_the_senders_clocks(
    engine: Engine,
) -> None:
    """Ids begin with the sender's time; a host whose clock is behind must not come first."""
    now = transactions.now()
    ahead, behind = (
        Event.objects.create(
            id=ids.first_ulid_of(now + host_is_off),
            name="test/ordered",
            data={},
            ts=0,
            received_at=now + dt.timedelta(milliseconds=after),
        )
        for host_is_off, after in ((dt.timedelta(minutes=1), 0), (-dt.timedelta(minutes=1), 1))
    )

    stamping.stamp()

    ahead.refresh_from_db()
    behind.refresh_from_db()
    assert behind.id < ahead.id
    assert ahead.seq < behind.seq
