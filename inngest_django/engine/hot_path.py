"""The statements that every step costs, written by hand and kept together.

Everything else in the engine goes through the ORM. Each function states the ORM form of
what it does. Callers pass and get plain values, so that this module can be made faster
without touching them. Both dialects know ``RETURNING``; PostgreSQL joins the lease and the
load in one statement, SQLite runs them one after another under its writer's lock.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
from collections.abc import Iterable, Sequence
from typing import Any

from inngest_django import clock, conf
from inngest_django.engine import transactions
from inngest_django.engine.retries import MAX_FREE_LOSSES
from inngest_django.models.fields import JSONText
from inngest_django.serialization import loads
from inngest_django.states import (
    RUN_LIVE,
    JobKind,
    OpKind,
    RunStatus,
    StepStatus,
)

_LIVE = ", ".join(f"'{status}'" for status in sorted(RUN_LIVE))
# How long the writer of a job trusts its own hint before the tick sends another.
HINT_GRACE = dt.timedelta(seconds=3)


@dataclasses.dataclass(frozen=True, slots=True)
class Leased:
    """A leased job with what the call needs, read in one snapshot."""

    job_id: int
    token: int
    kind: JobKind
    step_id: int | None
    run_id: str
    function_id: str
    attempt: int
    loss_count: int
    was_lost: bool
    run_status: RunStatus
    revision: int
    function_version: int
    has_unscanned_rules: bool
    has_open_pieces: bool
    parent_id: int | None
    event_ids: list[str] | None
    event: EventRow
    now: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class EventRow:
    """An event as stored; ``data`` and ``user`` are JSON text."""

    id: str
    external_id: str | None
    name: str
    data: str | None
    user: str | None
    ts: int
    version: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class StepRow:
    """A step as stored; ``output`` and ``error`` are JSON text."""

    id: int
    hashed_id: str
    op: OpKind
    status: StepStatus
    output: str | None
    error: str | None
    revision: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class LockedRun:
    """A run whose row lock this transaction holds."""

    id: str
    status: RunStatus
    revision: int
    floor_seq: int
    now: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class DueJob:
    """A job that the tick gives a hint for."""

    id: int
    function_id: str
    due_at: dt.datetime


def as_param(moment: dt.datetime) -> Any:
    """Return a moment as a statement's parameter."""
    return moment if transactions.is_postgresql() else clock.as_sqlite_text(moment)


def is_soon(available_at: dt.datetime, now: dt.datetime) -> bool:
    """Whether the writer of a job publishes its hint; later ones are the tick's.

    A message with a delay waits in a worker's memory, so delays stay short.
    """
    return available_at - now <= lookahead()


def lookahead() -> dt.timedelta:
    """Return how far ahead of its time a tick publishes a job, with that delay."""
    return conf.get().TICK + dt.timedelta(seconds=0.5)


def first_hint_at(available_at: dt.datetime, now: dt.datetime) -> dt.datetime:
    """Return when the tick looks at a new job: at its time, or when its hint seems lost."""
    if is_soon(available_at, now):
        return max(available_at, now) + HINT_GRACE
    return available_at


def _now_plus(seconds: float) -> str:
    """Return the SQL text of a moment that many seconds from now."""
    if transactions.is_postgresql():
        return f"({transactions.now_sql()} + interval '{seconds:.6f} seconds')"
    moment = clock.now() + dt.timedelta(seconds=seconds)
    return f"'{clock.as_sqlite_text(moment)}'"


# lease and load

_LEASE = """
UPDATE inngest_job SET
  lease_token = %s, leased_until = {until}, lease_owner = %s, is_draining = %s,
  next_hint_at = {until}, hint_count = 0,
  note = CASE WHEN lease_token IS NOT NULL THEN 'lost' ELSE '' END,
  loss_count = loss_count + {charged}, free_loss_count = free_loss_count + {free},
  attempt = attempt + CASE WHEN kind = 'step' THEN {charged} ELSE 0 END
WHERE id = %s AND available_at <= {now} AND (lease_token IS NULL OR leased_until <= {now})
  AND EXISTS (SELECT 1 FROM inngest_run r WHERE r.id = run_id AND r.status IN ({live}))
RETURNING id, kind, step_id, run_id, function_id, attempt, loss_count, note
"""
_CHARGED = (
    "CASE WHEN lease_token IS NOT NULL AND NOT (is_draining AND free_loss_count < {max_free})"
    " THEN 1 ELSE 0 END"
)
_FREE = (
    "CASE WHEN lease_token IS NOT NULL AND is_draining AND free_loss_count < {max_free}"
    " THEN 1 ELSE 0 END"
)
_LOAD = """
SELECT j.id, j.kind, j.step_id, j.run_id, j.function_id, j.attempt, j.loss_count, j.note,
  r.status, r.revision, r.function_version, r.has_unscanned_rules, r.parent_id, r.event_ids,
  EXISTS (SELECT 1 FROM inngest_job o WHERE o.run_id = r.id AND o.kind <> 'enter'),
  e.id, e.external_id, e.name, e.data, e."user", e.ts, e.version, {now}
FROM {leased} j JOIN inngest_run r ON r.id = j.run_id JOIN inngest_event e ON e.id = r.event_id
WHERE r.status IN ({live}) {only}
"""


@functools.lru_cache(maxsize=8)
def _lease_texts(postgresql: bool) -> tuple[str, str]:
    charged = _CHARGED.format(max_free=MAX_FREE_LOSSES)
    free = _FREE.format(max_free=MAX_FREE_LOSSES)
    lease = _LEASE.format(
        until="{until}", now="{now}", charged=charged, free=free, live=_LIVE
    ).strip()
    if postgresql:
        load = _LOAD.format(now="{now}", leased="leased", live=_LIVE, only="")
        return f"WITH leased AS ({lease}) {load}", ""
    return lease, _LOAD.format(now="{now}", leased="inngest_job", live=_LIVE, only="AND j.id = %s")


def lease(job_id: int, *, token: int, owner: str, ttl: float, is_draining: bool) -> Leased | None:
    """Claim a due job of a live run and read what its call needs; None when not to be had.

    ORM form: ``Job.objects.filter(pk, available_at__lte=now, run__status__in=live)
    .filter(Q(lease_token=None) | Q(leased_until__lte=now)).update(lease_token=token, …)``,
    then the job with its run and event. A lease taken over counts as lost, free of charge
    when its holder was told to stop, up to a bound.
    """
    on_postgresql = transactions.is_postgresql()
    first, second = _lease_texts(on_postgresql)
    moments = {"now": transactions.now_sql(), "until": _now_plus(ttl)}
    params = (token, owner, is_draining, job_id)
    if on_postgresql:
        with transactions.connection().cursor() as cursor:
            cursor.execute(first.format(**moments), params)
            row = cursor.fetchone()
    else:
        with transactions.write() as cursor:
            cursor.execute(first.format(**moments), params)
            # The statement ends only when its rows are read.
            row = cursor.fetchone()
            if row is not None:
                cursor.execute(second.format(**moments), (job_id,))
                row = cursor.fetchone()
    if row is None:
        return None
    return Leased(
        job_id=row[0],
        token=token,
        kind=JobKind(row[1]),
        step_id=row[2],
        run_id=row[3],
        function_id=row[4],
        attempt=row[5],
        loss_count=row[6],
        was_lost=row[7] == "lost",
        run_status=RunStatus(row[8]),
        revision=row[9],
        function_version=row[10],
        has_unscanned_rules=bool(row[11]),
        parent_id=row[12],
        event_ids=_decoded_list(row[13]),
        has_open_pieces=bool(row[14]),
        event=EventRow(*row[15:22]),
        now=transactions.as_moment(row[22]),
    )


def _decoded_list(text: str | None) -> list[str] | None:
    if text is None:
        return None
    value = loads(text)
    return value if isinstance(value, list) else None


def load_steps(run_id: str) -> list[StepRow]:
    """Return all steps of a run; read after the pieces, so never older than they are.

    ORM form: ``Step.objects.filter(run_id=run_id)``.
    """
    with transactions.connection().cursor() as cursor:
        cursor.execute(
            "SELECT id, hashed_id, op, status, output, error, revision FROM inngest_step"
            " WHERE run_id = %s",
            (run_id,),
        )
        return [
            StepRow(row[0], row[1], OpKind(row[2]), StepStatus(row[3]), row[4], row[5], row[6])
            for row in cursor.fetchall()
        ]


def due_in(job_id: int) -> tuple[str, float] | None:
    """Return function id and seconds until a job is due, or None when leased or gone."""
    with transactions.connection().cursor() as cursor:
        cursor.execute(
            "SELECT function_id, available_at FROM inngest_job"
            " WHERE id = %s AND lease_token IS NULL",
            (job_id,),
        )
        row = cursor.fetchone()
        if row is None:
            return None
        cursor.execute(f"SELECT {transactions.now_sql()}")
        now = transactions.as_moment(cursor.fetchone()[0])
    return row[0], (transactions.as_moment(row[1]) - now).total_seconds()


def renew(tokens: Sequence[int], ttl: float | None = None) -> list[int]:
    """Extend leases; rows that somebody is just reporting are skipped, not waited for.

    ORM form: ``Job.objects.filter(lease_token__in=tokens).update(leased_until=…)``.
    """
    until = _now_plus(ttl or conf.get().LEASE_TTL.total_seconds())
    places = transactions.in_list(len(tokens))
    lock = "FOR UPDATE SKIP LOCKED" if transactions.is_postgresql() else ""
    with transactions.write() as cursor:
        cursor.execute(
            f"UPDATE inngest_job SET leased_until = {until}, next_hint_at = {until}"
            f" WHERE id IN (SELECT id FROM inngest_job WHERE lease_token IN ({places})"
            f" ORDER BY id {lock}) RETURNING lease_token",
            tuple(tokens),
        )
        return [row[0] for row in cursor.fetchall()]


def mark_draining(owner: str) -> None:
    """Note on a worker's leases that it was told to stop.

    ORM form: ``Job.objects.filter(lease_owner=owner, lease_token__isnull=False).update(…)``.
    """
    lock = "FOR UPDATE SKIP LOCKED" if transactions.is_postgresql() else ""
    with transactions.write() as cursor:
        cursor.execute(
            "UPDATE inngest_job SET is_draining = %s WHERE id IN (SELECT id FROM inngest_job"
            f" WHERE lease_owner = %s AND lease_token IS NOT NULL ORDER BY id {lock})",
            (True, owner),
        )


# outcome


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
    cursor: Any,
    *,
    run_id: str,
    hashed_id: str,
    name: str,
    index: int,
    op: OpKind,
    status: StepStatus,
    input_: str | None,
    output: str | None,
    error: str | None,
    attempt_count: int,
    revision: int,
    started_at: dt.datetime | None,
    now: dt.datetime,
) -> int:
    """Store a step that was found and run in one entry; returns its id.

    ORM form: ``Step.objects.create(…)``; a row whose id had gone from the code is reused.
    """
    cursor.execute(
        'INSERT INTO inngest_step (run_id, hashed_id, name, "index", op, status, mode, input,'
        " output, error, attempt_count, revision, started_at, ended_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, '', %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (run_id, hashed_id) DO UPDATE SET op = excluded.op,"
        " status = excluded.status, input = excluded.input, output = excluded.output,"
        " error = excluded.error, attempt_count = excluded.attempt_count,"
        " revision = excluded.revision, started_at = excluded.started_at,"
        " ended_at = excluded.ended_at"
        " WHERE inngest_step.status = 'cancelled' RETURNING id",
        (
            run_id,
            hashed_id,
            name,
            index,
            op,
            status,
            input_,
            output,
            error,
            attempt_count,
            revision,
            as_param(started_at or now),
            as_param(now),
        ),
    )
    return int(cursor.fetchone()[0])


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

    ORM form: ``Step.objects.filter(pk, status__in=open).update(status=…, revision=…)``.
    """
    cursor.execute(
        "UPDATE inngest_step SET status = %s, output = %s, error = %s, revision = %s,"
        " ended_at = %s WHERE id = %s AND status IN ('planned', 'running', 'waiting')",
        (status, output, error, revision, as_param(now), step_id),
    )
    return bool(cursor.rowcount == 1)


def begin_step(step_id: int, job_id: int, token: int) -> None:
    """Show that a planned step's body is being tried, as long as the lease holds.

    ORM form: ``Step.objects.filter(pk, job__lease_token=token).update(status="running", …)``.
    """
    now = transactions.now_sql()
    with transactions.write() as cursor:
        cursor.execute(
            "UPDATE inngest_step SET status = 'running', attempt_count = attempt_count + 1,"
            f" started_at = coalesce(started_at, {now}) WHERE id = %s"
            " AND status IN ('planned', 'running') AND EXISTS (SELECT 1 FROM inngest_job j"
            " WHERE j.id = %s AND j.lease_token = %s)",
            (step_id, job_id, token),
        )


def begin_run(run_id: str) -> bool:
    """Move a queued run to running, once. ORM form: a guarded ``update``."""
    with transactions.write() as cursor:
        cursor.execute(
            f"UPDATE inngest_run SET status = 'running', started_at = {transactions.now_sql()}"
            " WHERE id = %s AND status = 'queued'",
            (run_id,),
        )
        return bool(cursor.rowcount == 1)


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
        " OR EXISTS (SELECT 1 FROM inngest_job j JOIN inngest_step s ON s.id = j.step_id"
        " WHERE j.run_id = %s AND s.mode = 'race')",
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


# due (tick)


def take_due(*, lookahead: float, limit: int) -> list[DueJob]:
    """Return jobs whose hint is due soon, pushing their next hint back, oldest first.

    ORM form: ``Job.objects.filter(next_hint_at__lte=…).order_by("next_hint_at")
    .select_for_update(skip_locked=True)[:limit]`` and an update. Several ticks at once share
    the work. The wait before hinting again doubles, to at most 15 s.
    """
    now = transactions.now_sql()
    if transactions.is_postgresql():
        again = (
            f"greatest(available_at, coalesce(leased_until, available_at), {now})"
            " + least(15, 2 ^ least(hint_count + 1, 4)) * interval '1 second'"
        )
        lock = "FOR UPDATE SKIP LOCKED"
    else:
        again = (
            "strftime('%%Y-%%m-%%d %%H:%%M:%%f', max(available_at,"
            f" coalesce(leased_until, available_at), {now}),"
            " '+' || min(15, 2 << min(hint_count, 3)) || ' seconds')"
        )
        lock = ""
    with transactions.write() as cursor:
        cursor.execute(
            f"UPDATE inngest_job SET next_hint_at = {again}, hint_count = hint_count + 1"
            f" WHERE id IN (SELECT id FROM inngest_job WHERE next_hint_at <= {_now_plus(lookahead)}"
            f" ORDER BY next_hint_at LIMIT %s {lock})"
            " RETURNING id, function_id, available_at, leased_until",
            (limit,),
        )
        return [
            DueJob(
                row[0],
                row[1],
                max(transactions.as_moment(row[2]), transactions.as_moment(row[3]))
                if row[3]
                else transactions.as_moment(row[2]),
            )
            for row in cursor.fetchall()
        ]


def hint_again(job_ids: Iterable[int], *, in_seconds: float) -> None:
    """Bring hints forward that could not be published. ORM form: an ``update``."""
    ids = sorted(job_ids)
    if not ids:
        return
    with transactions.write() as cursor:
        cursor.execute(
            f"UPDATE inngest_job SET next_hint_at = {_now_plus(in_seconds)}, hint_count = 0"
            f" WHERE id IN ({transactions.in_list(len(ids))}) AND lease_token IS NULL",
            ids,
        )


def encoded(text: str | None) -> JSONText | None:
    """Mark text as JSON for a ``JSONTextField``."""
    return None if text is None else JSONText(text)
