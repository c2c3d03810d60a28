"""Matches: finding the open waits under an event's keys, and settling a chunk of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inngest_django.engine import transactions
from inngest_django.engine.hot_path import wire
from inngest_django.engine.hot_path.leasing import LIVE, decoded_ids
from inngest_django.engine.hot_path.moments import HINT_GRACE, now_plus
from inngest_django.engine.hot_path.plans import BY_INDEX
from inngest_django.engine.hot_path.prepared import Rows
from inngest_django.engine.hot_path.rows import OpenWait, SettledWait, WaitMatch
from inngest_django.engine.hot_path.settling import RACING
from inngest_django.serialization import loads

_KEYS = 500  # In one statement.
_FIND = (
    "SELECT k.key, w.id, w.run_id, w.step_id, w.kind, w.event_name, w.expression, w.constants,"
    " w.floor_seq, w.expires_at, r.event_id, r.event_ids FROM inngest_wait_key k"
    " JOIN inngest_wait w ON w.id = k.wait_id JOIN inngest_run r ON r.id = w.run_id"
    " WHERE w.status = 'open'"
)


def waits_under(keys: Sequence[int], *, limit: int) -> list[OpenWait]:
    """Return open waits that are stored under keys, in no order; ``limit`` at most.

    ORM form: ``WaitKey.objects.filter(key__in=keys, wait__status="open")
    .select_related("wait__run")[:limit]``.
    """
    found: list[OpenWait] = []
    for first in range(0, len(keys), _KEYS):
        some = list(keys[first : first + _KEYS])
        if transactions.is_postgresql():
            where, params = "= ANY(%s::bigint[])", [some, limit]
        else:
            where, params = f"IN ({transactions.in_list(len(some))})", [*some, limit]
        found += _open_waits(wire.fetch(f"{_FIND} AND k.key {where} LIMIT %s", params))
        if len(found) >= limit:
            break
    return found


def waits_after(key: int, *, after: int, limit: int) -> list[OpenWait]:
    """Return the open waits under one key, in the order of their ids, above an id."""
    return _open_waits(
        wire.fetch(
            f"{_FIND} AND k.key = %s AND k.wait_id > %s ORDER BY k.wait_id LIMIT %s",
            (key, after, limit),
        )
    )


def _open_waits(rows: Rows) -> list[OpenWait]:
    return [
        OpenWait(
            key=row[0],
            id=row[1],
            run_id=row[2],
            step_id=row[3],
            kind=row[4],
            event_name=row[5],
            expression=row[6],
            constants=loads(row[7]),
            floor_seq=row[8],
            expires_at=transactions.as_moment(row[9]),
            own_event_ids=frozenset(decoded_ids(row[11]) or (row[10],)),
        )
        for row in rows
    ]


# A stalled outcome that holds one run must not hold up the others.
_TIMEOUT = f"SELECT set_config('lock_timeout', '1s', true), {BY_INDEX}"
_LOCK_RUNS = "SELECT id FROM inngest_run WHERE id = ANY(%s::text[]) ORDER BY id FOR NO KEY UPDATE"
_LOCK_JOBS = (
    "SELECT id FROM inngest_job WHERE step_id = ANY(%s::bigint[]) AND kind = 'wait'"
    " ORDER BY id FOR UPDATE"
)
_SETTLE = (
    "WITH told AS (SELECT * FROM unnest(%s::text[], %s::text[]) AS n (event_id, output)),"
    " wanted AS (SELECT * FROM unnest(%s::bigint[], %s::text[]) WITH ORDINALITY"
    " AS n (wait_id, event_id, place)),"
    " met AS (UPDATE inngest_wait SET status = 'matched', closed_at = {now},"
    " matched_event_id = wanted.event_id FROM wanted, inngest_run r, inngest_step s, inngest_job j"
    " WHERE inngest_wait.id = wanted.wait_id AND inngest_wait.status = 'open'"
    " AND inngest_wait.kind = 'event' AND r.id = inngest_wait.run_id AND r.status IN ({live})"
    " AND s.id = inngest_wait.step_id AND s.status IN ('planned', 'running', 'waiting')"
    " AND j.step_id = s.id AND j.kind = 'wait'"
    " RETURNING inngest_wait.id, r.id AS run_id, s.id AS step_id, j.id AS job_id,"
    " j.function_id, wanted.event_id, wanted.place),"
    " keys AS (DELETE FROM inngest_wait_key USING met WHERE wait_id = met.id),"
    " bumped AS (UPDATE inngest_run SET revision = revision + n.count, floor_seq ="
    " coalesce((SELECT last_seq FROM inngest_counter WHERE id = 1), 0)"
    " FROM (SELECT run_id, count(*)::int AS count FROM met GROUP BY run_id) n"
    " WHERE inngest_run.id = n.run_id RETURNING inngest_run.id, revision - n.count AS before),"
    " settled AS (UPDATE inngest_step SET status = 'completed', output = told.output,"
    " error = NULL, revision = bumped.before + n.nth, ended_at = {now}"
    " FROM (SELECT *, row_number() OVER (PARTITION BY run_id ORDER BY place) AS nth FROM met) n,"
    " bumped, told WHERE inngest_step.id = n.step_id AND bumped.id = n.run_id"
    " AND told.event_id = n.event_id RETURNING inngest_step.id, inngest_step.run_id,"
    " inngest_step.name, inngest_step.mode, n.job_id, n.function_id),"
    " gone AS (DELETE FROM inngest_job USING settled WHERE inngest_job.id = settled.job_id),"
    # One entry for each run whose last pieces these were, or in which a race goes on. What
    # is deleted above is still seen here.
    " entry AS (INSERT INTO inngest_job (run_id, kind, function_id, available_at, attempt,"
    " lease_owner, is_draining, loss_count, free_loss_count, next_hint_at, hint_count, note)"
    " SELECT DISTINCT n.run_id, 'enter', n.function_id, {now}, 0, '', false, 0, 0,"
    " {hint_at}, 0, '' FROM settled n WHERE n.mode = 'race' OR NOT EXISTS"
    " (SELECT 1 FROM inngest_job o WHERE o.run_id = n.run_id AND o.kind <> 'enter'"
    " AND o.id NOT IN (SELECT job_id FROM settled)) OR EXISTS"
    " ({racing} AND s.id NOT IN (SELECT id FROM settled))"
    " ON CONFLICT DO NOTHING RETURNING id, run_id)"
    " SELECT n.run_id, n.id, n.name, n.function_id, entry.id"
    " FROM settled n LEFT JOIN entry ON entry.run_id = n.run_id"
)


def settle_matches(
    matches: Sequence[WaitMatch], *, outputs: Mapping[str, str]
) -> list[SettledWait]:
    """Resume the steps of waits with the events that match them, in one round trip.

    PostgreSQL only, where ``can_exchange``. ORM form: ``matching._settle_chunk``: the runs'
    locks, then their waits' jobs, in the order of ids; of each wait that is still open and
    whose run is live ``pieces.close_waits`` and ``pieces.settle``. The joins are decided in a
    statement after the locks.

    Args:
        matches: One for each wait, in the order in which those of one run are to be settled.
        outputs: JSON text of each event.

    Returns:
        What was settled; the entry's job with each step of its run.
    """
    now = transactions.now_sql()
    rows = wire.exchange(
        (_TIMEOUT, ()),
        (_LOCK_RUNS, (sorted({match.run_id for match in matches}),)),
        (_LOCK_JOBS, ([match.step_id for match in matches],)),
        (
            _SETTLE.format(
                now=now,
                live=LIVE,
                hint_at=now_plus(HINT_GRACE.total_seconds()),
                racing=RACING.format(run="n.run_id"),
            ),
            (
                list(outputs),
                list(outputs.values()),
                [match.wait_id for match in matches],
                [match.event_id for match in matches],
            ),
        ),
        before_commit="route.settle_written",
    )
    return [SettledWait(*row) for row in rows]
