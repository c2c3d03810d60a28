"""Leases, tokens and locks on jobs."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError

from inngest_django import clock
from inngest_django.engine import cancellation, executor, hot_path, routing, transactions
from inngest_django.models import Job, Run, Step, Wait
from tests.concurrency.stage import Stage
from tests.engine.support import Engine, assert_sound, steps_of

pytestmark = pytest.mark.postgres


def _planned_group(engine: Engine, declare: Any) -> Run:
    """Return a run with two planned steps."""

    @declare()
    def two(ctx):
        ctx.group.parallel(tuple(lambda n=n: ctx.step.run(f"{n}", lambda: n) for n in range(2)))

    event_id = engine.send("test/started")
    engine.step()
    engine.step()
    return engine.run_of(event_id)


# Row 7: jobs are locked by id; statements over many of them skip what is locked.


def _renew_against_a_cancel(
    engine: Engine, stage: Stage, declare: Any, *rewrite: str
) -> tuple[list[int], list[str]]:
    """A third party holds j1; a cancel waits for j1 and then wants j2; a renewal wants both."""
    run = _planned_group(engine, declare)
    jobs = list(
        Job.objects.filter(run=run, kind="step").order_by("id").values_list("id", flat=True)
    )
    held = dict(zip((101, 102), jobs, strict=True))
    for token, job_id in held.items():
        assert hot_path.lease(job_id, token=token, owner="w", ttl=20, is_draining=False)

    def hold() -> None:
        with transactions.write() as cursor:
            cursor.execute("SELECT 1 FROM inngest_job WHERE id = %s FOR UPDATE", (jobs[0],))
            cursor.execute("SELECT 'held'")

    holder = stage.actor(hold, "holder").stop_before("'held'").start().paused()
    cancel = stage.actor(lambda: cancellation.cancel(run.id), "cancel").start().blocked()
    renewal = stage.actor(lambda: hot_path.renew(held), "renewal")
    if rewrite:
        renewal.rewrite(*rewrite).start().blocked()
        holder.go().done()
    renewed: list[int] = []
    with contextlib.suppress(OperationalError):
        renewed = (renewal if rewrite else renewal.start()).done()
    if not rewrite:
        assert not cancel.has_ended
        holder.go().done()
    assert cancel.done()
    run.refresh_from_db()
    assert run.status == "cancelled"
    assert_sound(run)
    return renewed, renewal.errors + cancel.errors


def test_renewal_skips_what_a_cancel_holds(engine: Engine, stage: Stage, declare: Any) -> None:
    renewed, errors = _renew_against_a_cancel(engine, stage, declare)

    assert renewed == [102]
    assert errors == []


def test_renewal_that_waits_for_locks_in_its_own_order_deadlocks(
    engine: Engine, stage: Stage, declare: Any
) -> None:
    _, errors = _renew_against_a_cancel(
        engine, stage, declare, "ORDER BY id FOR UPDATE SKIP LOCKED", "ORDER BY id DESC FOR UPDATE"
    )

    assert any("deadlock" in error for error in errors)


# Row 8: an entry is a new row, so that nobody holds its token.


@pytest.fixture
def scanning(
    engine: Engine, stage: Stage, declare: Any
) -> Callable[[], tuple[Run, int, Callable[[], None]]]:
    """Return a run whose wait was settled while a worker holds the wait's job."""

    @declare()
    def waiter(ctx):
        event = ctx.step.wait_for_event("answer", event="test/go", timeout="1h")
        return event is not None

    def begin() -> tuple[Run, int, Callable[[], None]]:
        event_id = engine.send("test/started")
        engine.step()
        run = engine.run_of(event_id)
        enter_id = Job.objects.get(run=run).pk
        worker = stage.actor(lambda: executor.execute(enter_id), "worker")
        worker.stop_at("timer.start").start().paused()
        wait_id = Job.objects.get(run=run).pk
        engine.send("test/go")
        engine.wants_routing = False
        routing.route()
        return run, wait_id, lambda: worker.go().done()

    return begin


def test_worker_whose_wait_was_settled_finds_no_job_of_its_own(
    engine: Engine, scanning: Callable[[], tuple[Run, int, Callable[[], None]]]
) -> None:
    run, wait_id, go_on = scanning()
    [job] = Job.objects.filter(run=run)
    assert (job.kind, job.lease_token) == ("enter", None)
    assert job.pk != wait_id

    go_on()
    engine.idle()

    run.refresh_from_db()
    assert run.output is True


def test_entry_made_of_the_old_row_is_taken_for_the_wait(
    engine: Engine,
    scanning: Callable[[], tuple[Run, int, Callable[[], None]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delete = hot_path.delete_job

    def reuse(cursor: Any, job_id: int) -> None:
        if not Job.objects.filter(pk=job_id, kind="wait").update(kind="enter", step=None):
            delete(cursor, job_id)

    with monkeypatch.context() as patch:
        patch.setattr(hot_path, "can_exchange", lambda: False)
        patch.setattr(hot_path, "delete_job", reuse)
        _, wait_id, go_on = scanning()
        assert Job.objects.get().pk == wait_id

    # Its token opens the entry: it goes to work on a wait that is settled.
    with pytest.raises(Wait.DoesNotExist):
        go_on()


# Row 9: the parent's job is locked before the child is read.


def _child_ends_at_the_time_out(engine: Engine, stage: Stage, declare: Any, *rewrite: str) -> Run:
    @declare(trigger=[])
    def child(ctx):
        return "done in time"

    @declare()
    def parent(ctx):
        return ctx.step.invoke("call", function=child, timeout="1h")

    event_id = engine.send("test/started")
    engine.step()
    engine.step()
    run = engine.run_of(event_id)
    clock.move(transactions.now() + dt.timedelta(hours=2))
    invoke_id = Job.objects.get(run=run).pk
    waiter = stage.actor(lambda: executor.execute(invoke_id), "parent's task").stop_at(
        "timer.start"
    )
    if rewrite:
        waiter.rewrite(*rewrite)
    waiter.start().paused()
    enter_id = Job.objects.get(run__parent__isnull=False).pk
    ending = stage.actor(lambda: executor.execute(enter_id), "child").stop_at("outcome.written")
    ending.start().paused()
    waiter.go().blocked()
    ending.go().done()
    waiter.done()
    engine.lose_hints()
    for _ in range(5):
        engine.advance(dt.timedelta(minutes=2))
    run.refresh_from_db()
    assert_sound(run)
    return run


def test_child_that_ended_before_the_time_out_was_decided_wins(
    engine: Engine, stage: Stage, declare: Any
) -> None:
    run = _child_ends_at_the_time_out(engine, stage, declare)

    assert run.output == "done in time"


def test_child_read_before_the_parents_job_is_locked_is_missed(
    engine: Engine, stage: Stage, declare: Any
) -> None:
    run = _child_ends_at_the_time_out(
        engine,
        stage,
        declare,
        "(FROM inngest_job WHERE id = .* lease_token = .*) FOR UPDATE",
        r"\1",
    )

    assert run.status == "failed"
    assert run.steps.get().error["name"] == "InngestInvokeTimeoutError"


def test_time_out_that_was_decided_first_leaves_the_child_alone(
    engine: Engine, stage: Stage, declare: Any
) -> None:
    @declare(trigger=[])
    def child(ctx):
        return "too late"

    @declare(retries=0)
    def parent(ctx):
        return ctx.step.invoke("call", function=child, timeout="1h")

    event_id = engine.send("test/started")
    engine.step()
    engine.step()
    run = engine.run_of(event_id)
    clock.move(transactions.now() + dt.timedelta(hours=2))
    invoke_id = Job.objects.get(run=run).pk
    waiter = stage.actor(lambda: executor.execute(invoke_id)).stop_at("timer.written")
    waiter.start().paused()
    enter_id = Job.objects.get(run__parent__isnull=False).pk
    ending = stage.actor(lambda: executor.execute(enter_id), "child").start().blocked()

    waiter.go().done()
    ending.done()
    engine.idle()

    run.refresh_from_db()
    assert run.status == "failed"
    assert Run.objects.get(parent__isnull=False).output == "too late"
    assert_sound(run)


# One lease: of two workers with the same hint, one gets the job.


def test_two_workers_with_one_hint_call_the_body_once(
    engine: Engine, stage: Stage, declare: Any
) -> None:
    calls = []

    @declare()
    def one(ctx):
        return ctx.step.run("body", lambda: calls.append(1))

    event_id = engine.send("test/started")
    engine.step()
    job_id = Job.objects.get().pk
    first = stage.actor(lambda: executor.execute(job_id)).stop_after("leased AS")
    first.start().paused()

    stage.actor(lambda: executor.execute(job_id)).start().done()
    assert calls == []
    first.go().done()
    engine.idle()

    assert calls == [1]
    assert steps_of(engine.run_of(event_id))["body"].status == "completed"


def test_a_run_that_is_cancelled_does_not_begin(engine: Engine, stage: Stage, declare: Any) -> None:
    """The lease that begins a run takes the run's lock before its job's, as the cancel does."""
    calls = []

    @declare()
    def one(ctx):
        return ctx.step.run("body", lambda: calls.append(1))

    event_id = engine.send("test/started")
    engine.step()
    run = engine.run_of(event_id)
    job_id = Job.objects.get().pk
    cancel = stage.actor(lambda: cancellation.cancel(run.id), "cancel")
    cancel.stop_after("UPDATE .inngest_run. SET .status.").start().paused()

    worker = stage.actor(lambda: executor.execute(job_id), "worker").start().blocked()
    cancel.go().done()
    worker.done()

    assert worker.errors + cancel.errors == []
    run.refresh_from_db()
    assert (run.status, run.started_at, calls) == ("cancelled", None, [])
    assert_sound(run)


def _begin_a_step_against_a_cancel(
    engine: Engine, stage: Stage, declare: Any, *rewrite: str
) -> tuple[Any, list[str]]:
    """A cancel has locked the steps and will delete the jobs; a lease wants one of each."""
    run = _planned_group(engine, declare)
    job = Job.objects.filter(run=run, kind="step").order_by("id").first()
    cancel = stage.actor(lambda: cancellation.cancel(run.id), "cancel")
    cancel.stop_after("UPDATE .inngest_step. SET .status.").start().paused()

    def lease() -> Any:
        return hot_path.lease(
            job.pk,
            token=1,
            owner="w",
            ttl=20,
            is_draining=False,
            known=["test-two"],
            expects_step=True,
        )

    worker = stage.actor(lease, "worker")
    if rewrite:
        worker.rewrite(*rewrite)
    worker.start().blocked()
    cancel.go()
    leased = None
    with contextlib.suppress(OperationalError):
        leased = worker.done()
    assert cancel.done()
    run.refresh_from_db()
    assert run.status == "cancelled"
    assert {step.status for step in Step.objects.filter(run=run)} == {"cancelled"}
    assert_sound(run)
    return leased, worker.errors + cancel.errors


def test_a_step_that_is_cancelled_does_not_begin(
    engine: Engine, stage: Stage, declare: Any
) -> None:
    """The lease that begins a step takes the step's lock before its job's, as the cancel does."""
    assert _begin_a_step_against_a_cancel(engine, stage, declare) == (None, [])


def test_a_lease_that_takes_the_step_after_the_job_deadlocks_with_a_cancel(
    engine: Engine, stage: Stage, declare: Any
) -> None:
    _, errors = _begin_a_step_against_a_cancel(
        engine, stage, declare, r"AND \(SELECT count\(\*\) FROM planned\) >= 0", ""
    )

    assert any("deadlock" in error for error in errors)


def test_worker_that_lost_its_lease_in_the_body_is_refused(
    engine: Engine, stage: Stage, declare: Any
) -> None:
    """The token alone decides; both bodies ran, one result is stored."""
    order = []

    @declare()
    def one(ctx):
        def body() -> int:
            order.append(1)
            return len(order)

        return ctx.step.run("body", body)

    event_id = engine.send("test/started")
    engine.step()
    job_id = Job.objects.get().pk
    late = stage.actor(lambda: executor.execute(job_id)).stop_at("call.end").start().paused()
    engine.lose_hints()
    engine.advance(dt.timedelta(seconds=25))
    run = engine.run_of(event_id)
    assert run.output == 2

    late.go().done()
    engine.idle()

    run.refresh_from_db()
    assert run.output == 2
    assert Step.objects.get(run=run).output == 2
    assert_sound(run)
