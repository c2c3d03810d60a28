"""Row 19: a commit whose answer is lost is neither done again nor taken for a failure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, OperationalError, connections

from inngest_django.engine import executor, hot_path, ingest, transactions
from inngest_django.events import Event as IncomingEvent
from inngest_django.models import Attempt, Event, Job, Run, Step
from tests.concurrency.stage import Actor, Stage
from tests.engine.support import Engine, assert_sound

pytestmark = pytest.mark.postgres

_GATE = 7_314_159


@pytest.fixture
def gate(engine: Engine) -> Iterator[None]:
    """Keep the commit of a recorded step waiting on the server while the test holds a lock."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$"
            f" BEGIN PERFORM pg_advisory_xact_lock({_GATE}); RETURN NULL; END $$;"
            "CREATE CONSTRAINT TRIGGER gate AFTER INSERT OR UPDATE ON inngest_step"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_gate()"
        )
    yield
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_unlock_all(); DROP TRIGGER gate ON inngest_step;"
            "DROP FUNCTION wait_at_gate"
        )


def close_gate() -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (_GATE,))


def open_gate() -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s)", (_GATE,))


def lose_the_answer(*, hangs_up: Callable[[], None] | None = None, nth: int = 1) -> None:
    """Let this thread's nth commit reach the server and its answer not come back.

    Args:
        hangs_up: Called instead of waiting for the server, when the commit has been sent.
    """
    connection = connections["default"]
    connection.ensure_connection()
    commit, left = connection._commit, [nth]

    def commit_unheard() -> None:
        left[0] -= 1
        if left[0]:
            commit()
            return
        del connection._commit
        if hangs_up is None:
            commit()
        else:
            connection.connection.pgconn.send_query(b"COMMIT")
            connection.connection.pgconn.flush()
            hangs_up()
        connection.connection.close()
        raise OperationalError("server closed the connection unexpectedly")

    connection._commit = commit_unheard


@pytest.fixture
def writing(engine: Engine, declare: Any) -> Callable[[], tuple[Run, int, list[int]]]:
    """Return a run before its ``step.transaction``, its job, and what notes its calls."""
    calls: list[int] = []

    @declare(retries=3)
    def writer(ctx):
        def body() -> int:
            calls.append(1)
            Group.objects.create(name=f"group {len(calls)}")
            return len(calls)

        return ctx.step.transaction("write", body)

    def begin() -> tuple[Run, int, list[int]]:
        event_id = engine.send("test/started")
        engine.step()
        # A first entry changes the run's status in a transaction of its own.
        hot_path.begin_run(engine.run_of(event_id).pk)
        return engine.run_of(event_id), Job.objects.get().pk, calls

    return begin


def finish(engine: Engine, run: Run) -> None:
    """Let everything that is due happen, lost leases and retries too."""
    engine.lose_hints()
    for _ in range(4):
        engine.advance(dt.timedelta(minutes=2))
    run.refresh_from_db()
    assert_sound(run)


def test_transaction_step_that_committed_unheard_is_not_run_again(
    engine: Engine, stage: Stage, writing: Callable[[], tuple[Run, int, list[int]]]
) -> None:
    run, job_id, calls = writing()

    def work() -> None:
        lose_the_answer()
        executor.execute(job_id)

    stage.actor(work).start().done()
    finish(engine, run)

    assert (run.status, run.output, calls) == ("completed", 1, [1])
    assert Group.objects.count() == 1
    assert not Attempt.objects.exists()


def _hang_up_in_the_commit(stage: Stage, job_id: int, *rewrite: str) -> Actor:
    """The commit hangs on the server, the worker loses it, and goes on to report a failure."""
    actor = stage.actor(lambda: _work(actor, job_id), "worker")
    if rewrite:
        actor.rewrite(*rewrite)
    return actor


def _work(actor: Actor, job_id: int) -> None:
    # It is over when the server waits at the gate, with the commit in its hands.
    lose_the_answer(hangs_up=actor.stand_until_blocked)
    executor.execute(job_id)


def test_doubt_about_a_commit_is_resolved_under_the_runs_lock(
    engine: Engine,
    stage: Stage,
    gate: None,
    writing: Callable[[], tuple[Run, int, list[int]]],
) -> None:
    run, job_id, calls = writing()
    close_gate()
    worker = _hang_up_in_the_commit(stage, job_id).start()

    # It asks who holds the lease, and waits for the commit that it does not know of.
    worker.lost()
    worker.blocked()
    open_gate()
    worker.done()
    finish(engine, run)

    assert (run.status, run.output, calls) == ("completed", 1, [1])
    assert Step.objects.get().status == "completed"
    assert not Attempt.objects.exists()


def test_doubt_resolved_without_the_lock_runs_into_the_one_row_of_a_step(
    engine: Engine,
    stage: Stage,
    gate: None,
    writing: Callable[[], tuple[Run, int, list[int]]],
) -> None:
    """Without the lock the worker takes the step for one that failed and writes its retry."""
    _, job_id, _ = writing()
    close_gate()
    worker = _hang_up_in_the_commit(
        stage, job_id, r"^(SELECT .* FROM inngest_(?:run|job) .*)FOR (NO KEY )?UPDATE", r"\1"
    )
    worker.start().lost()
    worker.blocked()
    open_gate()
    with pytest.raises(IntegrityError, match="inngest_step_once"):
        worker.done()


@pytest.mark.parametrize("is_short", [True, False], ids=["one message", "statements"])
def test_outcome_that_committed_unheard_is_written_once(
    engine: Engine, stage: Stage, declare: Any, monkeypatch: pytest.MonkeyPatch, is_short: bool
) -> None:
    calls = []

    @declare()
    def one(ctx):
        return ctx.step.run("body", lambda: calls.append(1) or len(calls))

    event_id = engine.send("test/started")
    engine.step()
    run = engine.run_of(event_id)
    hot_path.begin_run(run.pk)
    job_id = Job.objects.get().pk
    if not is_short:
        monkeypatch.setattr(hot_path, "can_exchange", lambda: False)

    def work() -> None:
        if is_short:
            _lose_the_answer_of("COMMIT")
        else:
            lose_the_answer()
        executor.execute(job_id)

    stage.actor(work).start().done()
    finish(engine, run)

    assert (run.status, run.output, calls) == ("completed", 1, [1])
    assert not Attempt.objects.exists()


def _lose_the_answer_of(text: str) -> None:
    """As ``lose_the_answer``, for a message that begins and commits by itself."""
    connection = connections["default"]
    connection.ensure_connection()

    def unheard(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if sql.endswith(text):
            connection.execute_wrappers.remove(unheard)
            connection.connection.close()
            raise OperationalError("server closed the connection unexpectedly")
        return result

    connection.execute_wrappers.append(unheard)


def test_events_whose_commit_was_unheard_are_stored_once(engine: Engine, stage: Stage) -> None:
    """The sender is told of an error and may send again: its id is the same fact."""
    event = IncomingEvent(name="test/go", data={}, id="order-1")

    def send() -> None:
        lose_the_answer()
        with transactions.write():
            ingest.accept([event])

    with pytest.raises(OperationalError):
        stage.actor(send).start().done()

    assert Event.objects.filter(name="test/go").count() == 1
