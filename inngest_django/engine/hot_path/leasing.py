"""Lease and load: claiming a job, keeping the claim, reading what its call needs."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from inngest_django import conf
from inngest_django.engine import transactions
from inngest_django.engine.hot_path import wire
from inngest_django.engine.hot_path.moments import now_plus
from inngest_django.engine.hot_path.plans import LAZILY, by_no_index
from inngest_django.engine.hot_path.prepared import Rows, Statement
from inngest_django.engine.hot_path.rows import EventRow, Leased, StepRow
from inngest_django.engine.hot_path.settling import begin_statement, begin_step
from inngest_django.engine.retries import MAX_FREE_LOSSES
from inngest_django.serialization import loads
from inngest_django.states import RUN_LIVE, JobKind, OpKind, RunStatus, StepStatus

# Faster than the enumerations' own look-up, for what is read by the hundred.
_OPS = {op.value: op for op in OpKind}
_STATUSES = {status.value: status for status in StepStatus}

LIVE = ", ".join(f"'{status}'" for status in sorted(RUN_LIVE))
# Of a job's row. A look at one row by its id, which a join on the status would not be: planned
# while there are few runs, it reads all that are live.
OF_LIVE_RUN = f"(SELECT r.status FROM inngest_run r WHERE r.id = run_id) IN ({LIVE})"

_LEASE = """
UPDATE inngest_job SET
  lease_token = %s, leased_until = {until}, lease_owner = %s, is_draining = %s,
  hint_count = 0,
  note = CASE WHEN {charged} = 1 THEN 'lost' ELSE '' END,
  loss_count = loss_count + {charged}, free_loss_count = free_loss_count + {free},
  attempt = attempt + CASE WHEN kind = 'step' THEN {charged} ELSE 0 END
WHERE id = %s AND available_at <= {now} AND (lease_token IS NULL OR leased_until <= {now})
  AND {of_live_run} {condition}
RETURNING id, kind, step_id, run_id, function_id, attempt, loss_count, note
"""
# A run that begins: its lock comes before its job's, as everywhere. The lease asks for it, so
# that it is taken first; who waited for somebody that began or ended the run finds nothing.
_QUEUED = """
SELECT id FROM inngest_run WHERE id = (SELECT run_id FROM inngest_job WHERE id = %s)
  AND {status} = 'queued' FOR NO KEY UPDATE
"""
_BEGIN = """
UPDATE inngest_run SET status = 'running', started_at = {now} FROM leased, queued
WHERE inngest_run.id = leased.run_id AND leased.run_id = queued.id
  AND leased.function_id = ANY(%s::text[]) RETURNING 1
"""
# A planned step likewise, where one is expected: steps are locked before their jobs. Not one
# that was lost before, of which it is not decided yet whether it is tried again.
_PLANNED = """
SELECT id FROM inngest_step WHERE id = (SELECT step_id FROM inngest_job WHERE id = %s)
  AND status IN ('planned', 'running') FOR NO KEY UPDATE
"""
_BEGIN_STEP = """
UPDATE inngest_step SET status = 'running', attempt_count = attempt_count + 1,
  started_at = coalesce(started_at, {now}) FROM leased, planned
WHERE inngest_step.id = leased.step_id AND leased.step_id = planned.id
  AND leased.kind = 'step' AND leased.note <> 'lost'
  AND leased.function_id = ANY(%s::text[]) RETURNING 1
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
  j.kind <> 'enter'
    OR EXISTS (SELECT 1 FROM inngest_job o WHERE o.run_id = r.id AND o.kind <> 'enter'),
  j.kind = 'enter'
    AND EXISTS (SELECT 1 FROM inngest_wait w WHERE w.run_id = r.id AND {status} = 'open'),
  e.id, e.external_id, e.name, e.data, e."user", e.ts, e.version, {moment}, {began}, {began_step}{lazily}
FROM {leased} j JOIN inngest_run r ON r.id = j.run_id JOIN inngest_event e ON e.id = r.event_id
{only}
"""


@functools.lru_cache(maxsize=8)
def _lease_texts(postgresql: bool, is_alone: bool, *, begins_step: bool = False) -> tuple[str, str]:
    charged = _CHARGED.format(max_free=MAX_FREE_LOSSES)
    free = _FREE.format(max_free=MAX_FREE_LOSSES)
    status = by_no_index("w.status")
    if not postgresql:
        load = _LOAD.format(
            moment="{now}",
            leased="inngest_job",
            status=status,
            began="0",
            began_step="0",
            lazily="",
            only="WHERE j.id = %s",
        )
        return _lease_text(charged, free), load
    first = ["planned"] if begins_step else ["queued"]
    # Scalars, asked for each row before that is locked.
    condition = " ".join(f"AND (SELECT count(*) FROM {name}) >= 0" for name in first)
    leased = _lease_text(charged, free, condition)
    if begins_step:
        parts = {"planned": _PLANNED, "leased": leased, "begun_step": _BEGIN_STEP}
    else:
        parts = {
            "queued": _QUEUED.format(status=by_no_index("status")),
            "leased": leased,
            "begun": _BEGIN,
        }
    load = _LOAD.format(
        # Reading a moment's text costs the client more than the rest of the row.
        moment="(extract(epoch FROM {now}) * 1000000)::bigint",
        leased="leased",
        status=status,
        began="false" if begins_step else "EXISTS (SELECT 1 FROM begun)",
        began_step="EXISTS (SELECT 1 FROM begun_step)" if begins_step else "false",
        lazily=f", {LAZILY}" if is_alone else "",
        only="",
    )
    return f"WITH {', '.join(f'{name} AS ({part})' for name, part in parts.items())} {load}", ""


def _lease_text(charged: str, free: str, condition: str = "") -> str:
    return _LEASE.format(
        until="{until}",
        now="{now}",
        charged=charged,
        free=free,
        of_live_run=OF_LIVE_RUN,
        condition=condition,
    )


@functools.lru_cache(maxsize=8)
def _filled(text: str, now: str, until: str) -> str:
    return text.format(now=now, until=until)


def lease(
    job_id: int,
    *,
    token: int,
    owner: str,
    ttl: float,
    is_draining: bool,
    known: Sequence[str] = (),
    expects_step: bool = False,
) -> Leased | None:
    """Claim a due job of a live run and read what its call needs; None when not to be had.

    ORM form: ``Job.objects.filter(pk, available_at__lte=now, run__status__in=live)
    .filter(Q(lease_token=None) | Q(leased_until__lte=now)).update(lease_token=token, …)``,
    then the job with its run and event. A lease taken over counts as lost, free of charge
    when its holder was told to stop, up to a bound.

    Args:
        known: Ids of functions whose queued runs begin with this, where that costs nothing:
            ``begin_run`` in the same transaction.
        expects_step: The job is probably a planned step's, which then begins with this
            instead, where that can be done: ``begin_step`` in the same transaction.
    """
    on_postgresql = transactions.is_postgresql()
    first, second = _lease_texts(on_postgresql, wire.can_prepare(), begins_step=expects_step)
    now, until = transactions.now_sql(), now_plus(ttl)
    params: tuple[Any, ...] = (token, owner, is_draining, job_id)
    if on_postgresql:
        ids = list(known)
        params = (job_id, *params, ids)
        row = next(iter(wire.fetch(_filled(first, now, until), params)), None)
    else:
        with transactions.write() as cursor:
            cursor.execute(_filled(first, now, until), params)
            # The statement ends only when its rows are read.
            row = cursor.fetchone()
            if row is not None:
                cursor.execute(_filled(second, now, until), (job_id,))
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
        event_ids=decoded_ids(row[13]),
        has_open_pieces=bool(row[14]),
        has_open_waits=bool(row[15]),
        event=EventRow(*row[16:23]),
        now=transactions.as_moment(row[23]),
        has_begun=bool(row[24]),
        has_begun_step=bool(row[25]),
    )


def decoded_ids(text: str | None) -> list[str] | None:
    """Return the list of ids that a column holds as JSON text."""
    if text is None:
        return None
    value = loads(text)
    return value if isinstance(value, list) else None


def begin_and_load(leased: Leased, *, after: int = 0) -> list[StepRow]:
    """Begin the planned step of a leased job, and load as ``load_steps`` does.

    Together, where that can be done: a round trip less.
    """
    step = (leased.step_id or 0, leased.job_id, leased.token)
    if not wire.can_prepare():
        begin_step(*step)
        return load_steps(leased.run_id, after=after)
    text, params = begin_statement(*step)
    begin = (f"{text} RETURNING {LAZILY}", params)
    return _step_rows(wire.exchange(begin, _load_statement(leased.run_id, after)))


def load_steps(run_id: str, *, after: int = 0, has_open: bool = True) -> list[StepRow]:
    """Return the open steps of a run, and those settled after a revision.

    Read after the pieces, so never older than they are.
    ORM form: ``Step.objects.filter(run_id=run_id).filter(Q(revision=None) |
    Q(revision__gt=after))``.

    Args:
        has_open: Whether there may be open steps.
    """
    return _step_rows(wire.fetch(*_load_statement(run_id, after, only_settled=not has_open)))


_STEPS = (
    "SELECT id, hashed_id, op, status, output, error, revision, mode FROM inngest_step"
    " WHERE run_id = %s"
)


def _load_statement(run_id: str, after: int, *, only_settled: bool = False) -> Statement:
    if only_settled:
        return f"{_STEPS} AND revision > %s", (run_id, after)
    if not after:
        return _STEPS, (run_id,)
    # Two questions, each with its part of an index. As one with OR, all steps of the run
    # are read to find the few.
    return (
        f"{_STEPS} AND revision IS NULL UNION ALL {_STEPS} AND revision > %s",
        (run_id, run_id, after),
    )


def _step_rows(rows: Rows) -> list[StepRow]:
    return [
        StepRow(row[0], row[1], _OPS[row[2]], _STATUSES[row[3]], row[4], row[5], row[6], row[7])
        for row in rows
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


def renew(leases: Mapping[int, int], ttl: float | None = None) -> list[int]:
    """Extend leases; rows that somebody is just reporting are skipped, not waited for.

    ORM form: ``Job.objects.filter(id__in=ids, lease_token__in=tokens).update(leased_until=…)``.

    Args:
        leases: The job of each token. Found by the jobs' ids, because an index on tokens
            would cost every lease an entry in each of the table's indexes.

    Returns:
        The tokens that still hold.
    """
    until = now_plus(ttl or conf.get().LEASE_TTL.total_seconds())
    places = transactions.in_list(len(leases))
    lock = "FOR UPDATE SKIP LOCKED" if transactions.is_postgresql() else ""
    with transactions.write() as cursor:
        cursor.execute(
            f"UPDATE inngest_job SET leased_until = {until}"
            f" WHERE id IN (SELECT id FROM inngest_job WHERE id IN ({places})"
            f" AND lease_token IN ({places}) ORDER BY id {lock}) RETURNING lease_token",
            (*leases.values(), *leases),
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
