"""Outcomes in one round trip: several statements sent together on PostgreSQL.

The run's lock stays a statement of its own and comes first; what follows it in the same
message gets a snapshot of its own, taken after the lock. Where this cannot be done (SQLite,
inside somebody's transaction) the caller uses ``settling``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from inngest_django.engine import transactions
from inngest_django.engine.hot_path import wire
from inngest_django.engine.hot_path.leasing import OF_LIVE_RUN
from inngest_django.engine.hot_path.moments import HINT_GRACE, now_plus
from inngest_django.engine.hot_path.plans import by_no_index
from inngest_django.engine.hot_path.prepared import Rows
from inngest_django.engine.hot_path.rows import Leased, NewStep
from inngest_django.engine.hot_path.settling import (
    INSERT_STEP,
    RACING,
    REUSE_STEP,
    SETTLED_FROM,
    STEP_VALUES,
    step_values,
)
from inngest_django.engine.hot_path.waited import is_waited_for
from inngest_django.states import StepStatus

# Of a planned body the hashed id, name, index, mode, and input as JSON text.
NewPlanned = tuple[str, str, int, str, str | None]

_LOCK = "SELECT 1 FROM inngest_run WHERE id = %s FOR NO KEY UPDATE"
_BUMP = (
    "UPDATE inngest_run SET revision = revision + 1, floor_seq ="
    " coalesce((SELECT last_seq FROM inngest_counter WHERE id = 1), 0)"
    " FROM held WHERE inngest_run.id = held.run_id RETURNING inngest_run.id, revision"
)
_HELD = f"id = %s AND lease_token = %s AND {OF_LIVE_RUN}"
_HELD_OF_RUNNING = (
    "id = %s AND lease_token = %s"
    " AND (SELECT r.status FROM inngest_run r WHERE r.id = run_id) = 'running'"
)


def can_exchange() -> bool:
    """Whether several statements can be sent together now."""
    if not transactions.is_postgresql():
        return False
    held = transactions.connection()
    if held.in_atomic_block:
        return False
    # With bindings on the server's side a message of text holds one statement.
    return not held.settings_dict["OPTIONS"].get("server_side_binding") or wire.can_prepare()


def record_and_enter(leased: Leased, step: NewStep) -> tuple[int, int, int] | None:
    """Record the step that an entry ran, and replace its job by the next entry.

    ORM form: the run's lock; the token's check; ``bump``; ``insert_settled_step``;
    ``delete_job``; ``insert_job(kind="enter")``. Only for an entry of a run without open
    pieces: nothing can settle meanwhile, so that there is no join to decide.

    Returns:
        The ids of the new job and of the step, and the run's revision; None when the lease
        or the run is gone.
    """
    now = transactions.now_sql()
    started, started_params = _started(step)
    rows = _exchange(
        leased,
        f"WITH held AS (DELETE FROM inngest_job WHERE {_HELD}"
        f" RETURNING run_id, function_id), bumped AS ({_BUMP}), step AS ({INSERT_STEP}"
        f" SELECT bumped.id, {STEP_VALUES}, bumped.revision, {started}, {now} FROM bumped"
        f" {REUSE_STEP} RETURNING id), job AS (INSERT INTO inngest_job (run_id, step_id, kind,"
        " function_id, available_at, attempt, lease_token, leased_until, lease_owner,"
        " is_draining, loss_count, free_loss_count, next_hint_at, hint_count, note)"
        f" SELECT run_id, NULL, 'enter', function_id, {now}, 0, NULL::bigint,"
        f" NULL::timestamptz, '', false, 0, 0, {now_plus(HINT_GRACE.total_seconds())}, 0, ''"
        " FROM held RETURNING id)"
        " SELECT job.id, (SELECT id FROM step), (SELECT revision FROM bumped) FROM job",
        (leased.job_id, leased.token, *step_values(step), *started_params),
    )
    return (int(rows[0][0]), int(rows[0][1]), int(rows[0][2])) if rows else None


def record_and_go_on(leased: Leased, step: NewStep, *, ttl: float) -> tuple[int, int] | None:
    """Record a step and keep the entry's lease, renewed and with all its attempts.

    ORM form: the run's lock; ``keep_lease``; ``bump``; ``insert_settled_step``.

    Returns:
        The run's revision and the step's id, or None when the lease or the run is gone.
    """
    now, until = transactions.now_sql(), now_plus(ttl)
    started, started_params = _started(step)
    rows = _exchange(
        leased,
        f"WITH held AS (UPDATE inngest_job SET leased_until = {until},"
        f" attempt = 0, loss_count = 0 WHERE {_HELD}"
        f" RETURNING run_id), bumped AS ({_BUMP}), step AS ({INSERT_STEP}"
        f" SELECT bumped.id, {STEP_VALUES}, bumped.revision, {started}, {now} FROM bumped"
        f" {REUSE_STEP} RETURNING id) SELECT bumped.revision, (SELECT id FROM step) FROM bumped",
        (leased.job_id, leased.token, *step_values(step), *started_params),
    )
    return (int(rows[0][0]), int(rows[0][1])) if rows else None


def record_plan(leased: Leased, steps: Sequence[NewPlanned]) -> list[int] | None:
    """Record a group of new bodies, each with its job due now, in place of the entry's job.

    ORM form: the run's lock; the token's check; ``Step.objects.bulk_create([…])``;
    ``Job.objects.bulk_create([…])``; ``delete_job``. Only for an entry of a run without open
    pieces.

    Returns:
        The ids of the jobs, in the order of the steps; None when the lease or the run is
        gone, something was settled since the lease, or one of the steps has a row.
    """
    now = transactions.now_sql()
    rows = _exchange(
        leased,
        f"WITH held AS (DELETE FROM inngest_job WHERE {_HELD}"
        " AND (SELECT r.revision FROM inngest_run r WHERE r.id = run_id) = %s"
        " AND (SELECT count(*) FROM inngest_step s WHERE s.run_id = inngest_job.run_id"
        " AND s.hashed_id = ANY(%s::text[])) = 0 RETURNING run_id, function_id),"
        ' step AS (INSERT INTO inngest_step (run_id, hashed_id, name, "index", mode, input, op,'
        " status, attempt_count) SELECT held.run_id, n.*, 'StepRun', 'planned', 0 FROM held,"
        " unnest(%s::text[], %s::text[], %s::int[], %s::text[], %s::text[]) n RETURNING id),"
        " job AS (INSERT INTO inngest_job (run_id, step_id, kind, function_id, available_at,"
        " attempt, lease_owner, is_draining, loss_count, free_loss_count, next_hint_at,"
        f" hint_count, note) SELECT held.run_id, step.id, 'step', held.function_id, {now}, 0,"
        f" '', false, 0, 0, {now_plus(HINT_GRACE.total_seconds())}, 0, '' FROM held, step"
        " RETURNING id) SELECT id FROM job ORDER BY id",
        (
            leased.job_id,
            leased.token,
            leased.revision,
            [step[0] for step in steps],
            *(list(column) for column in zip(*steps, strict=True)),
        ),
    )
    return [int(row[0]) for row in rows] or None


def settle_and_join(
    leased: Leased, *, status: StepStatus, output: str | None, error: str | None
) -> tuple[int | None, int] | None:
    """Record the result of a planned step, and insert the entry that follows the last one.

    ORM form: the run's lock; the token's check; ``bump``; ``settle_step``; ``delete_job``;
    ``must_enter``; ``insert_job(kind="enter")``. The join is decided in a statement after
    the lock, over what the previous holder of the lock committed.

    Returns:
        The id of the entry's job (None when this was not the last) and the run's revision;
        None when the lease or the run is gone, or the step is not open.
    """
    now = transactions.now_sql()
    rows = _exchange(
        leased,
        f"WITH held AS (DELETE FROM inngest_job WHERE {_HELD} AND"
        " (SELECT s.status FROM inngest_step s WHERE s.id = step_id)"
        f" IN ({SETTLED_FROM[status]})"
        " RETURNING id, run_id, step_id, function_id),"
        f" bumped AS ({_BUMP}), settled AS (UPDATE inngest_step SET status = %s, output = %s,"
        f" error = %s, revision = bumped.revision, ended_at = {now} FROM held, bumped"
        " WHERE inngest_step.id = held.step_id RETURNING inngest_step.mode),"
        " job AS (INSERT INTO inngest_job (run_id, step_id, kind, function_id, available_at,"
        " attempt, lease_token, leased_until, lease_owner, is_draining, loss_count,"
        " free_loss_count, next_hint_at, hint_count, note)"
        f" SELECT held.run_id, NULL, 'enter', held.function_id, {now}, 0, NULL::bigint,"
        f" NULL::timestamptz, '', false, 0, 0, {now_plus(HINT_GRACE.total_seconds())}, 0, ''"
        " FROM held, settled WHERE settled.mode = 'race' OR NOT EXISTS (SELECT 1 FROM"
        " inngest_job o WHERE o.run_id = held.run_id AND o.kind <> 'enter' AND o.id <> held.id)"
        f" OR EXISTS ({RACING.format(run='held.run_id')} AND s.id <> held.step_id)"
        " ON CONFLICT DO NOTHING RETURNING id)"
        " SELECT (SELECT id FROM job), bumped.revision FROM bumped, settled",
        (leased.job_id, leased.token, status, output, error),
    )
    return (rows[0][0], int(rows[0][1])) if rows else None


def complete_run(
    leased: Leased, *, output: str, event_id: str, event_name: str, event_data: str
) -> bool | None:
    """Complete a run that holds nothing but its entry, and store the event of its end.

    ORM form: ``runs.end(run, status="completed", output=output)`` of a run without open
    pieces, waits or parent.

    Args:
        output: JSON text.
        event_data: JSON text of the event's data.

    Returns:
        Whether an open wait names the event; None when the lease is gone, the run is not
        running, or something is open after all.
    """
    now = transactions.now_sql()
    rows = _exchange(
        leased,
        f"WITH held AS (DELETE FROM inngest_job WHERE {_HELD_OF_RUNNING}"
        " AND NOT EXISTS (SELECT 1 FROM inngest_job o WHERE o.run_id = inngest_job.run_id"
        " AND o.id <> inngest_job.id)"
        # Counted: of what need not exist the planner may make a join that reads all waits.
        " AND (SELECT count(*) FROM inngest_wait w WHERE w.run_id = inngest_job.run_id"
        f" AND {by_no_index('w.status')} = 'open') = 0 RETURNING run_id),"
        " ended AS (UPDATE inngest_run SET status = 'completed', output = %s, reason = '',"
        f" ended_at = {now} FROM held WHERE inngest_run.id = held.run_id"
        " RETURNING inngest_run.id),"
        ' told AS (INSERT INTO inngest_event (id, external_id, name, data, "user", ts, version,'
        " received_at, routed_at, seq) SELECT %s, NULL, %s, %s, NULL,"
        f" floor(extract(epoch from {now}) * 1000)::bigint, NULL, {now}, NULL, NULL FROM ended)"
        f" SELECT {is_waited_for('%s')} FROM ended",
        (
            leased.job_id,
            leased.token,
            output,
            event_id,
            event_name,
            event_data,
            event_name,
            event_name,
        ),
    )
    return bool(rows[0][0]) if rows else None


def _started(step: NewStep) -> tuple[str, tuple[dt.datetime, ...]]:
    """Return the SQL of a step's start and its parameters."""
    if step.started_at is None:
        return transactions.now_sql(), ()
    return "%s::timestamptz", (step.started_at,)


def _exchange(leased: Leased, text: str, params: tuple[Any, ...]) -> Rows:
    """Lock the run, then run the statement; one transaction, one round trip."""
    return wire.exchange((_LOCK, (leased.run_id,)), (text, params))
