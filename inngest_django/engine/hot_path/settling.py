"""Outcome: the statements of recording a result, each in the caller's transaction."""

from __future__ import annotations

import datetime as dt
from typing import Any

from inngest_django.engine import transactions
from inngest_django.engine.hot_path import wire
from inngest_django.engine.hot_path.moments import as_param, first_hint_at
from inngest_django.engine.hot_path.prepared import Statement
from inngest_django.engine.hot_path.rows import LockedRun, NewStep
from inngest_django.states import (
    STEP_OPEN,
    STEP_SETTLED,
    STEP_TRANSITIONS,
    JobKind,
    RunStatus,
    StepStatus,
    sources,
)

INSERT_STEP = (
    'INSERT INTO inngest_step (run_id, hashed_id, name, "index", op, status, mode, input,'
    " output, error, attempt_count, revision, started_at, ended_at)"
)
STEP_VALUES = "%s, %s, %s, %s, %s, '', %s, %s, %s, %s"
REUSE_STEP = (
    "ON CONFLICT (run_id, hashed_id) DO UPDATE SET op = excluded.op,"
    " status = excluded.status, input = excluded.input, output = excluded.output,"
    " error = excluded.error, attempt_count = excluded.attempt_count,"
    " revision = excluded.revision, started_at = excluded.started_at,"
    " ended_at = excluded.ended_at WHERE inngest_step.status = 'cancelled'"
)
# The open statuses that each result may follow.
SETTLED_FROM = {
    status: ", ".join(f"'{old}'" for old in sorted(sources(STEP_TRANSITIONS, status) & STEP_OPEN))
    for status in STEP_SETTLED
}
# The open steps of a run that were planned in this mode, by an index that holds no others.
RACING = (
    "SELECT 1 FROM inngest_step s WHERE s.run_id = {run} AND s.mode = 'race'"
    " AND s.status IN ('planned', 'running', 'waiting')"
)


def step_values(step: NewStep) -> tuple[Any, ...]:
    """Return the parameters of ``STEP_VALUES``."""
    return (
        step.hashed_id,
        step.name,
        step.index,
        step.op,
        step.status,
        step.input,
        step.output,
        step.error,
        step.attempt_count,
    )


def lock_run(cursor: Any, run_id: str) -> LockedRun | None:
    """Take a run's lock, in a statement of its own; decisions come in later statements.

    ORM form: ``Run.objects.select_for_update(no_key=True).get(pk=run_id)``.
    """
    lock = "FOR NO KEY UPDATE" if transactions.is_postgresql() else ""
    cursor.execute(
        f"SELECT status, revision, floor_seq, {transactions.now_sql()}"
        f" FROM inngest_run WHERE id = %s {lock}",
        (run_id,),
    )
    row = cursor.fetchone()
    if row is None:
        return None
    return LockedRun(run_id, RunStatus(row[0]), row[1], row[2], transactions.as_moment(row[3]))


def holds_lease(cursor: Any, job_id: int, token: int) -> bool:
    """Lock a job and say whether ``token`` is still its lease. The token alone decides.

    ORM form: ``Job.objects.select_for_update().filter(pk=job_id, lease_token=token)``.
    """
    lock = "FOR UPDATE" if transactions.is_postgresql() else ""
    cursor.execute(
        f"SELECT 1 FROM inngest_job WHERE id = %s AND lease_token = %s {lock}",
        (job_id, token),
    )
    return cursor.fetchone() is not None


def bump(cursor: Any, run_id: str) -> int:
    """Count one more settled step; new waits begin at what is committed now.

    ORM form: ``run.revision += 1; run.floor_seq = Counter.objects.get().last_seq``.
    """
    cursor.execute(
        "UPDATE inngest_run SET revision = revision + 1, floor_seq ="
        " coalesce((SELECT last_seq FROM inngest_counter WHERE id = 1), 0)"
        " WHERE id = %s RETURNING revision",
        (run_id,),
    )
    return int(cursor.fetchone()[0])


def insert_settled_step(
    cursor: Any, run_id: str, step: NewStep, *, revision: int, now: dt.datetime
) -> int:
    """Store a step that was found and settled in one entry; returns its id.

    ORM form: ``Step.objects.create(…)``; a row whose id had gone from the code is reused.
    """
    cursor.execute(
        f"{INSERT_STEP} VALUES (%s, {STEP_VALUES}, %s, %s, %s) {REUSE_STEP} RETURNING id",
        (
            run_id,
            *step_values(step),
            revision,
            as_param(step.started_at or now),
            as_param(now),
        ),
    )
    return int(cursor.fetchone()[0])


def keep_lease(cursor: Any, job_id: int, token: int, *, leased_until: dt.datetime) -> bool:
    """Renew a lease after progress, with all its attempts; False when it was lost.

    ORM form: ``Job.objects.filter(pk, lease_token=token).update(leased_until=…, attempt=0)``.
    """
    cursor.execute(
        "UPDATE inngest_job SET leased_until = %s, attempt = 0, loss_count = 0"
        " WHERE id = %s AND lease_token = %s",
        (as_param(leased_until), job_id, token),
    )
    return bool(cursor.rowcount == 1)


def settle_step(
    cursor: Any,
    step_id: int,
    *,
    status: StepStatus,
    output: str | None,
    error: str | None,
    revision: int,
    now: dt.datetime,
) -> bool:
    """Record the result of an open step, once; False when it was settled before.

    ORM form: ``Step.objects.filter(pk, status__in=…).update(status=…, revision=…)``: of those
    that are open, and of waits alone when they timed out.
    """
    cursor.execute(
        "UPDATE inngest_step SET status = %s, output = %s, error = %s, revision = %s,"
        f" ended_at = %s WHERE id = %s AND status IN ({SETTLED_FROM[status]})",
        (status, output, error, revision, as_param(now), step_id),
    )
    return bool(cursor.rowcount == 1)


def begin_step(step_id: int, job_id: int, token: int) -> None:
    """Show that a planned step's body is being tried, as long as the lease holds.

    ORM form: ``Step.objects.filter(pk, job__lease_token=token).update(status="running", …)``.
    """
    wire.write(*begin_statement(step_id, job_id, token))


def begin_statement(step_id: int, job_id: int, token: int) -> Statement:
    """Return the statement of ``begin_step``."""
    return (
        "UPDATE inngest_step SET status = 'running', attempt_count = attempt_count + 1,"
        f" started_at = coalesce(started_at, {transactions.now_sql()}) WHERE id = %s"
        " AND status IN ('planned', 'running') AND EXISTS (SELECT 1 FROM inngest_job j"
        " WHERE j.id = %s AND j.lease_token = %s)",
        (step_id, job_id, token),
    )


def begin_run(run_id: str) -> bool:
    """Move a queued run to running, once. ORM form: a guarded ``update``."""
    return (
        wire.write(
            f"UPDATE inngest_run SET status = 'running', started_at = {transactions.now_sql()}"
            " WHERE id = %s AND status = 'queued'",
            (run_id,),
        )
        == 1
    )


def delete_job(cursor: Any, job_id: int) -> None:
    """Delete a job. ORM form: ``Job.objects.filter(pk=job_id).delete()``."""
    cursor.execute("DELETE FROM inngest_job WHERE id = %s", (job_id,))


def insert_job(
    cursor: Any,
    *,
    run_id: str,
    function_id: str,
    kind: JobKind,
    available_at: dt.datetime,
    now: dt.datetime,
    step_id: int | None = None,
    attempt: int = 0,
    token: int | None = None,
    owner: str = "",
    leased_until: dt.datetime | None = None,
    is_draining: bool = False,
) -> int | None:
    """Insert a job; None when the run has its one ``enter`` job already.

    ORM form: ``Job.objects.bulk_create([…], ignore_conflicts=True)``. Never an old row
    reused: somebody may hold its token.
    """
    hint_at = leased_until or first_hint_at(available_at, now)
    cursor.execute(
        "INSERT INTO inngest_job (run_id, step_id, kind, function_id, available_at, attempt,"
        " lease_token, leased_until, lease_owner, is_draining, loss_count, free_loss_count,"
        " next_hint_at, hint_count, note)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0, 0, %s, 0, '')"
        " ON CONFLICT DO NOTHING RETURNING id",
        (
            run_id,
            step_id,
            kind,
            function_id,
            as_param(available_at),
            attempt,
            token,
            None if leased_until is None else as_param(leased_until),
            owner,
            is_draining,
            as_param(hint_at),
        ),
    )
    row = cursor.fetchone()
    return None if row is None else int(row[0])


def must_enter(cursor: Any, run_id: str) -> bool:
    """Whether a settle is followed by an entry: nothing is open, or a race is going on.

    Must run in a statement after the run's lock: together they would read an old snapshot.
    ORM form: ``not pieces.exists() or pieces.filter(step__mode="race").exists()``.
    """
    cursor.execute(
        "SELECT NOT EXISTS (SELECT 1 FROM inngest_job WHERE run_id = %s AND kind <> 'enter')"
        f" OR EXISTS ({RACING.format(run='%s')})",
        (run_id, run_id),
    )
    return bool(cursor.fetchone()[0])


def reschedule(
    cursor: Any,
    job_id: int,
    *,
    available_at: dt.datetime,
    now: dt.datetime,
    attempt: int | None = None,
    note: str = "",
) -> None:
    """Release a job's lease and make it due at a time.

    ORM form: ``Job.objects.filter(pk=job_id).update(lease_token=None, available_at=…)``.
    """
    cursor.execute(
        "UPDATE inngest_job SET lease_token = NULL, leased_until = NULL, lease_owner = '',"
        " is_draining = %s, available_at = %s, next_hint_at = %s, hint_count = 0, note = %s,"
        " attempt = coalesce(%s, attempt) WHERE id = %s",
        (
            False,
            as_param(available_at),
            as_param(first_hint_at(available_at, now)),
            note,
            attempt,
            job_id,
        ),
    )
