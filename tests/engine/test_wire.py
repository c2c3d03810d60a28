"""The hot path's statements on the wire, with the real clock: a moved one is never prepared."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from inngest_django import clock
from inngest_django.client import Inngest
from inngest_django.engine import (
    executor,
    hints,
    hot_path,
    ingest,
    leases,
    routing,
    sync,
    transactions,
)
from inngest_django.engine.hot_path import wire
from inngest_django.engine.hot_path.waited import is_waited_for
from inngest_django.events import Event as IncomingEvent
from inngest_django.functions import registry
from inngest_django.functions.triggers import TriggerEvent
from inngest_django.ids import new_ulid
from inngest_django.models import Counter, Event, Job, Pulse, Run, Step
from tests.engine.support import Engine, assert_sound

TRIGGER = TriggerEvent(event="test/started")


@pytest.fixture
def running(transactional_db: None, client: Inngest) -> Iterator[Engine]:
    """The engine by the database's own clock."""
    engine = Engine(client)
    previous = hints.install(engine)
    sync.forget()
    try:
        with registry.only([]):
            yield engine
    finally:
        hints.install(previous)
        sync.forget()
        connection.close()


def _prepared() -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(string_agg(statement, ';'), '') FROM pg_prepared_statements"
        )
        return str(cursor.fetchone()[0])


@pytest.mark.postgres
@pytest.mark.parametrize("is_checkpointed", [False, True])
def test_sequences_and_groups_run_on_prepared_statements(
    running: Engine, client: Inngest, is_checkpointed: bool
) -> None:
    @client.create_function(fn_id="f", trigger=TRIGGER, checkpointing=is_checkpointed)
    def f(ctx: Any) -> Any:
        first = ctx.step.run("first", lambda: {"é": [1, None]})
        group = ctx.group.parallel(
            (lambda: ctx.step.run("a", lambda: "a"), lambda: ctx.step.run("b", lambda: None))
        )
        return [first, list(group), ctx.step.run("last", lambda: 70_000)]

    registry.register(f)

    for _ in range(8):  # More often than a plan is made for each use.
        run = running.start("test/started")
        assert (run.status, run.output) == ("completed", [{"é": [1, None]}, ["a", None], 70_000])

    prepared = _prepared()
    assert "UPDATE inngest_job SET" in prepared
    assert "DELETE FROM inngest_job" in prepared
    assert "FOR NO KEY UPDATE" in prepared


@pytest.mark.postgres
@pytest.mark.parametrize("is_draining", [False, True])
def test_a_sleep_and_the_entry_after_it_are_one_task(
    running: Engine, client: Inngest, monkeypatch: pytest.MonkeyPatch, is_draining: bool
) -> None:
    @client.create_function(fn_id="f", trigger=TRIGGER)
    def f(ctx: Any) -> Any:
        ctx.step.sleep("nap", "1h")
        return ctx.step.run("after", lambda: "awake")

    registry.register(f)
    run = running.start("test/started")
    job = Job.objects.get(run=run)
    Job.objects.filter(pk=job.pk).update(available_at=transactions.now())
    monkeypatch.setattr(leases, "is_draining", lambda: is_draining)

    executor.execute(job.pk)

    # A worker that was told to stop leaves the entry to others; so does one new step.
    done = {step.name for step in Step.objects.filter(run=run, status="completed")}
    assert done == ({"nap"} if is_draining else {"nap", "after"})
    assert Job.objects.get(run=run).kind == "enter"
    assert len(running.jobs) == 1
    running.idle()
    run.refresh_from_db()
    assert (run.status, run.output) == ("completed", "awake")


@pytest.mark.postgres
def test_a_group_planned_in_one_statement_is_stored_as_any_other(
    running: Engine, client: Inngest
) -> None:
    @client.create_function(fn_id="f", trigger=TRIGGER)
    def f(ctx: Any) -> Any:
        return list(
            ctx.group.parallel(
                (
                    lambda: ctx.step.run('a"{,\\}é', lambda value: value, ["x", None]),
                    lambda: ctx.step.run("twice", lambda: 1),
                    lambda: ctx.step.run("twice", lambda: 2),
                )
            )
        )

    registry.register(f)
    event_id = running.send("test/started")
    running.step()  # Routed,
    running.step()  # then planned.
    run = running.run_of(event_id)

    planned = Step.objects.filter(run=run).order_by("id")
    assert [(s.name, s.index, s.op, s.status, s.mode, s.input) for s in planned] == [
        ('a"{,\\}é', 0, "StepRun", "planned", "wait", [["x", None]]),
        ("twice", 0, "StepRun", "planned", "wait", None),
        ("twice", 1, "StepRun", "planned", "wait", None),
    ]
    assert all(s.started_at is None and s.attempt_count == 0 for s in planned)
    assert_sound(run)
    running.idle()
    run.refresh_from_db()
    assert run.output == [["x", None], 1, 2]
    assert {s.attempt_count for s in Step.objects.filter(run=run)} == {1}


@pytest.mark.postgres
def test_a_group_of_bodies_is_planned_in_one_exchange(
    running: Engine, client: Inngest, monkeypatch: pytest.MonkeyPatch
) -> None:
    @client.create_function(fn_id="f", trigger=TRIGGER)
    def f(ctx: Any) -> Any:
        return ctx.group.parallel(tuple(partial(ctx.step.run, name, str) for name in "abc"))

    registry.register(f)
    event_id = running.send("test/started")
    running.step()
    sent: list[Any] = []
    send = wire._run_prepared

    def watched(held: Any, statements: Any) -> Any:
        sent.append(statements)
        return send(held, statements)

    monkeypatch.setattr(wire, "_run_prepared", watched)
    monkeypatch.setattr(transactions, "write", None)  # Nothing is written in another way.
    running.step()

    # The lease, and the plan after the run's lock.
    assert [len(statements) for statements in sent] == [1, 2]
    run = running.run_of(event_id)
    steps = Step.objects.filter(run=run).order_by("id")
    assert [step.name for step in steps] == ["a", "b", "c"]
    jobs = Job.objects.filter(run=run).order_by("id")
    assert [(job.kind, job.step_id) for job in jobs] == [("step", step.pk) for step in steps]
    assert [hint.job_id for hint in running.jobs] == [job.pk for job in jobs]
    assert_sound(run)


@pytest.fixture
def planned(running: Engine, client: Inngest) -> Run:
    """A run with a group of steps that nobody has begun."""

    @client.create_function(fn_id="f", trigger=TRIGGER, retries=0)
    def f(ctx: Any) -> Any:
        return ctx.group.parallel(
            tuple(partial(ctx.step.run, f"branch-{n}", lambda n: n, n) for n in range(4))
        )

    registry.register(f)
    event_id = running.send("test/started")
    while not running.jobs or not Step.objects.exists():
        running.step()
    return running.run_of(event_id)


@pytest.mark.postgres
def test_steps_of_a_group_begin_with_the_leases_of_their_jobs(
    running: Engine, planned: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the first of a process, which reads the group; none reads what the others did."""
    exchanges: list[str] = []
    send = wire._run_prepared

    def watched(held: Any, statements: Any) -> Any:
        exchanges.append("; ".join(text for text, _ in statements))
        return send(held, statements)

    monkeypatch.setattr(executor, "_expects_step", False)
    monkeypatch.setattr(wire, "_run_prepared", watched)
    counts = []
    for job in Job.objects.filter(run=planned, kind="step").order_by("id"):
        exchanges.clear()
        executor.execute(job.pk)
        counts.append(len(exchanges))

    assert counts == [3, 2, 2, 2]
    assert not any("FROM inngest_step WHERE run_id" in text for text in exchanges)
    steps = Step.objects.filter(run=planned)
    assert {(step.status, step.attempt_count) for step in steps} == {("completed", 1)}
    assert all(step.started_at for step in steps)
    running.idle()
    planned.refresh_from_db()
    assert (planned.status, planned.output) == ("completed", [0, 1, 2, 3])
    assert_sound(planned)


@pytest.mark.postgres
def test_a_run_begins_where_a_planned_step_was_expected(
    running: Engine, client: Inngest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That lease begins steps only, so that the run begins after it."""
    seen: list[str] = []

    @client.create_function(fn_id="f", trigger=TRIGGER)
    def f(ctx: Any) -> Any:
        return ctx.step.run("a", lambda: seen.append(Run.objects.get(pk=ctx.run_id).status))

    registry.register(f)
    event_id = running.send("test/started")
    running.step()
    run = running.run_of(event_id)
    monkeypatch.setattr(executor, "_expects_step", True)
    executor.execute(Job.objects.get(run=run).pk)

    assert seen == ["running"]
    run.refresh_from_db()
    assert (run.status, run.started_at is None) == ("running", False)
    assert_sound(run)


@pytest.mark.postgres
def test_a_step_that_was_lost_does_not_begin_with_the_next_lease(planned: Run) -> None:
    """It is decided after that whether it is tried again."""
    job = Job.objects.filter(run=planned, kind="step").order_by("id").first()
    lease = partial(hot_path.lease, job.pk, owner="w", ttl=20, is_draining=False, expects_step=True)

    first = lease(token=1, known=["test-f"])
    Job.objects.filter(pk=job.pk).update(leased_until=transactions.now())
    second = lease(token=2, known=["test-f"])

    assert (first.was_lost, first.has_begun_step) == (False, True)
    assert (second.was_lost, second.has_begun_step) == (True, False)
    assert Step.objects.get(pk=job.step_id).attempt_count == 1


@pytest.mark.postgres
def test_a_step_of_an_unknown_function_does_not_begin_with_its_lease(planned: Run) -> None:
    job = Job.objects.filter(run=planned, kind="step").order_by("id").first()

    leased = hot_path.lease(
        job.pk, token=1, owner="w", ttl=20, is_draining=False, known=[], expects_step=True
    )

    assert not leased.has_begun_step
    assert Step.objects.get(pk=job.step_id).status == "planned"


@pytest.mark.postgres
def test_statements_sent_together_are_one_transaction(transactional_db: None) -> None:
    Counter.objects.update_or_create(id=1, defaults={"last_seq": 5})
    assert wire.can_prepare()

    with pytest.raises(DatabaseError):
        wire.exchange(
            ("UPDATE inngest_counter SET last_seq = %s WHERE id = 1", (6,)),
            ("SELECT 1 / %s FROM inngest_counter", (0,)),
        )

    assert Counter.objects.get().last_seq == 5
    # The connection is as good as before, for us and for the ORM.
    rows = wire.exchange(
        ("UPDATE inngest_counter SET last_seq = %s WHERE id = 1", (7,)),
        ("SELECT last_seq + %s FROM inngest_counter", (1,)),
    )
    assert rows == [(8,)]
    assert Counter.objects.get().last_seq == 7


@pytest.mark.postgres
def test_second_statement_sees_what_its_lock_waited_for(transactional_db: None) -> None:
    import threading

    Counter.objects.update_or_create(id=1, defaults={"last_seq": 0})
    count, each = 4, 25

    def add() -> None:
        try:
            for _ in range(each):
                wire.exchange(
                    ("SELECT 1 FROM inngest_counter WHERE id = 1 FOR NO KEY UPDATE", ()),
                    (
                        "UPDATE inngest_counter SET last_seq = (SELECT last_seq"
                        " FROM inngest_counter WHERE id = 1) + %s WHERE id = 1 RETURNING 1",
                        (1,),
                    ),
                )
        finally:
            connection.close()

    threads = [threading.Thread(target=add) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # The subquery reads the snapshot: one taken before the lock would lose additions.
    assert Counter.objects.get().last_seq == count * each


@pytest.mark.postgres
def test_text_is_sent_where_somebody_looks_or_sessions_are_shared(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    Pulse.objects.update_or_create(id=1)
    assert wire.can_prepare()

    with CaptureQueriesContext(connection) as captured:
        assert not wire.can_prepare()
        assert wire.fetch("SELECT id FROM inngest_pulse WHERE id = %s", (1,)) == [(1,)]
        assert wire.exchange(("SELECT 1", ()), ("SELECT %s::int", (2,))) == [(2,)]
    assert len(captured) == 2
    with transaction.atomic():
        assert not wire.can_prepare()
    with clock.frozen(transactions.now()):
        assert not wire.can_prepare()
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    assert not wire.can_prepare()


@pytest.mark.postgres
def test_project_statements_are_not_prepared(transactional_db: None) -> None:
    connection.close()
    wire.fetch("SELECT id FROM inngest_pulse WHERE id = %s", (1,))

    for _ in range(10):
        list(Pulse.objects.filter(id=1))

    assert _prepared().count("SELECT") == 1


@pytest.mark.sqlite
def test_sqlite_has_nothing_to_prepare(transactional_db: None) -> None:
    assert not wire.can_prepare()


@pytest.mark.postgres
def test_statements_are_prepared_again_when_the_server_forgot_them(transactional_db: None) -> None:
    Counter.objects.update_or_create(id=1, defaults={"last_seq": 1})
    statements = (
        ("UPDATE inngest_counter SET last_seq = last_seq + %s WHERE id = 1", (1,)),
        ("SELECT last_seq FROM inngest_counter WHERE id = %s", (1,)),
    )
    assert wire.exchange(*statements) == [(2,)]
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")

    assert wire.exchange(*statements) == [(3,)]


@pytest.mark.postgres
def test_large_values_pass_in_both_directions(transactional_db: None) -> None:
    text = "é" * 4_000_000

    rows = wire.exchange(("SELECT %s::text", (text,)), ("SELECT %s::text, NULL", (text,)))

    assert rows == [(text, None)]


@pytest.mark.postgres
def test_lists_arrive_as_they_are(transactional_db: None) -> None:
    texts = ["", "NULL", 'a"{,}\\é', " x ", None, "'%s'"]
    numbers = [-1, None, 2**62]

    [[found, counted, empty]] = wire.fetch(
        "SELECT %s::text[], %s::bigint[], %s::text[]", (texts, numbers, [])
    )

    assert wire.can_prepare()
    assert (found, counted, empty) == (texts, numbers, [])


@pytest.mark.postgres
def test_events_are_stored_alike_in_and_outside_of_a_transaction(running: Engine) -> None:
    given = {
        "id": 'a"{,}', "name": "test/né\\", "data": {"q": "\x00'\\"}, "user": {"n": 1.5},
        "ts": 1_700_000_000_000, "v": "2",
    }  # fmt: skip
    sent = [IncomingEvent(**given), IncomingEvent(name="test/plain")]
    before = transactions.now()

    outside = running.client.send_sync(sent)
    with transaction.atomic():
        inside = running.client.send_sync(sent)

    assert "INSERT INTO inngest_event" in _prepared()
    rows = {row.id: row for row in Event.objects.all()}
    for full, plain in (outside, inside):
        assert rows[full].payload() == given
        assert rows[plain].payload() | {"id": "", "ts": 0} == {
            "id": "", "name": "test/plain", "data": {}, "user": {}, "ts": 0,
        }  # fmt: skip
        assert rows[plain].external_id is None
    for row in rows.values():
        assert before <= row.received_at <= transactions.now()
        assert (row.seq, row.routed_at) == (None, None)


@pytest.mark.postgres
def test_no_event_is_ahead_of_its_receipt(running: Engine, client: Inngest) -> None:
    """It would delay what it starts. Rounded, half of them would be, by half a millisecond."""

    @client.create_function(fn_id="f", trigger=TRIGGER)
    def f(ctx: Any) -> Any:
        return ctx.step.run("one", lambda: 1)

    registry.register(f)
    for _ in range(20):
        running.client.send_sync(IncomingEvent(name="test/plain"))
        with transaction.atomic():
            running.client.send_sync(IncomingEvent(name="test/plain"))
        assert running.start("test/started").status == "completed"

    assert Event.objects.filter(name="inngest/function.finished").count() == 20
    for event in Event.objects.all():
        assert 0 <= event.received_at.timestamp() * 1000 - event.ts < 1.001, event.name


@pytest.mark.postgres
def test_events_sent_again_with_their_ids_are_stored_once(running: Engine) -> None:
    events = [IncomingEvent(name="test/a", data={"n": n}) for n in range(3)]
    given = [new_ulid() for _ in events]

    assert ingest.accept(events[:2], event_ids=given[:2]) == given[:2]
    assert ingest.accept(events, event_ids=given) == given

    assert {row.pk: row.data["n"] for row in Event.objects.all()} == dict(
        zip(given, range(3), strict=True)
    )


@pytest.mark.postgres
def test_manual_transactions_are_joined(running: Engine) -> None:
    connection.ensure_connection()
    connection.set_autocommit(False)
    try:
        with contextlib.suppress(TransactionManagementError):  # Django refuses the hint.
            running.client.send_sync(IncomingEvent(name="test/a"))
        connection.rollback()
    finally:
        connection.set_autocommit(True)

    assert not Event.objects.exists()


@pytest.mark.postgres
def test_prepared_routing_starts_what_it_should(running: Engine, client: Inngest) -> None:
    @client.create_function(fn_id="f", trigger=TRIGGER)
    def f(ctx: Any) -> Any:
        return ctx.event.data["n"]

    registry.register(f)
    later = (time.time() + 3600) * 1000
    ids = [running.send("test/started", {"n": n}, id=f"{n % 20}\\") for n in range(40)]
    delayed = running.send("test/started", {"n": 40}, ts=int(later))
    other = running.send("test/other", {"n": 41})

    assert routing.route() == 42

    assert {run.event_id for run in Run.objects.all()} == {*ids[:20], delayed}
    job = Job.objects.get(run__event_id=delayed)
    assert abs(job.available_at.timestamp() - later / 1000) < 0.001
    assert job.next_hint_at == job.available_at
    assert Event.objects.get(pk=other).routed_at is not None
    running.idle()
    # Whose time has not come has no hint either.
    ended = Run.objects.filter(status="completed").order_by("event__seq")
    assert [run.output for run in ended] == [*range(20)]
    assert Run.objects.get(event_id=delayed).status == "queued"
    assert "INSERT INTO inngest_idempotency_key" in _prepared()


@pytest.mark.postgres
def test_a_session_that_ended_is_an_operational_error(transactional_db: None) -> None:
    wire.fetch("SELECT 1 WHERE %s::int = 1", (1,))
    [(pid,)] = wire.fetch("SELECT pg_backend_pid()", ())
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", (pid,))
    finally:
        other.close()

    with pytest.raises(OperationalError):
        wire.fetch("SELECT 1 WHERE %s::int = 1", (1,))

    assert wire.fetch("SELECT 1 WHERE %s::int = 1", (1,)) == [(1,)]


@pytest.mark.postgres
@pytest.mark.parametrize("is_prepared", [True, False])
def test_names_that_open_waits_have_are_found_and_no_others(
    running: Engine, client: Inngest, is_prepared: bool
) -> None:
    @client.create_function(fn_id="f", trigger=TRIGGER)
    def f(ctx: Any) -> Any:
        ctx.step.wait_for_event("w", event=ctx.event.data["for"], timeout="1h")

    registry.register(f)
    for name in ("test/b", "test/d", "test/d"):
        running.start("test/started", {"for": name})
    running.send("test/b")
    running.idle()
    statement = f"SELECT {is_waited_for('%s')}"

    def ask(name: str) -> object:
        if is_prepared:
            return wire.fetch(statement, (name, name))[0][0]
        with connection.cursor() as cursor:
            cursor.execute(statement, (name, name))
            return cursor.fetchone()[0]

    # The one for "test/b" is over; before, between and behind the others there are none.
    names = ("test/a", "test/b", "test/c", "test/d", "test/d2", "test/e")
    assert [name for name in names if ask(name)] == ["test/d"]


@pytest.mark.postgres
@pytest.mark.parametrize("is_checkpointed", [False, True])
def test_plans_made_while_tables_are_empty_read_nobody_elses_rows(
    running: Engine, client: Inngest, is_checkpointed: bool
) -> None:
    """A plan is kept for as long as the connection: by then a million runs may be live."""

    @client.create_function(fn_id="f", trigger=TRIGGER, checkpointing=is_checkpointed)
    def f(ctx: Any) -> Any:
        for number in range(8):
            ctx.step.run(f"step-{number}", lambda: None)
        ctx.group.parallel(
            tuple(partial(ctx.step.run, f"branch-{n}", lambda: None) for n in range(8))
        )

    with registry.only([f]), connection.cursor() as cursor:
        # As new: what was here before left no statistics.
        cursor.execute("TRUNCATE inngest_run, inngest_event, inngest_job, inngest_wait CASCADE")
        for _ in range(8):
            assert running.start("test/started").status == "completed"
        cursor.execute(
            "SELECT name, cardinality(parameter_types), statement FROM pg_prepared_statements"
            " WHERE generic_plans > 0 AND statement ~ 'inngest_'"
            if connection.pg_version >= 140000
            else "SELECT name, cardinality(parameter_types), statement"
            " FROM pg_prepared_statements WHERE statement ~ 'inngest_'"
        )
        found = cursor.fetchall()
        assert len(found) >= 8
        for name, count, statement in found:
            arguments = ", ".join(["NULL"] * count)
            cursor.execute("SET plan_cache_mode = force_generic_plan")
            cursor.execute(
                f"EXPLAIN (FORMAT JSON) EXECUTE {name}" + (f"({arguments})" if count else "")
            )
            [[[plan]]] = cursor.fetchall()
            for node in _nodes(plan["Plan"]):
                if node.get("Relation Name") in LARGE and "Scan" in node["Node Type"]:
                    assert "Index Cond" in node, f"{statement}\n{node}"


LARGE = {"inngest_run", "inngest_job", "inngest_wait", "inngest_step"}


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)
