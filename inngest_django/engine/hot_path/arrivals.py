"""Arrivals: storing events, stamping them, reading those to route, starting what they trigger.

PostgreSQL only, where ``can_exchange``; elsewhere ``ingest``, ``stamping`` and ``routing`` do
the same through the ORM.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Sequence

from inngest_django.engine import transactions
from inngest_django.engine.hot_path import wire
from inngest_django.engine.hot_path.moments import HINT_GRACE, lookahead, now_plus
from inngest_django.engine.hot_path.plans import BY_INDEX, LAZILY
from inngest_django.engine.hot_path.rows import (
    Arrival,
    EventRow,
    NewEntry,
    NewEvent,
    NewRun,
    RunKey,
    Started,
)
from inngest_django.engine.hot_path.waited import is_waited_for

# The planner takes a batch for hundreds of rows, and would read the table of events whole to
# find one of them.
_BY_INDEX = (
    "set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)"
)
_COLUMNS = tuple(field.name for field in dataclasses.fields(NewEvent))
_INSERT = (
    'INSERT INTO inngest_event (id, external_id, name, data, "user", ts, version, received_at)'
    ' SELECT n.id, n.external_id, n.name, n.data, n."user",'
    # Never ahead of now, which would delay the run.
    " coalesce(n.ts, floor(extract(epoch FROM {now}) * 1000)::bigint), n.version, {now}"
    " FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[],"
    ' %s::text[]) AS n (id, external_id, name, data, "user", ts, version)'
)


def insert_events(events: Sequence[NewEvent], *, ignore_conflicts: bool) -> None:
    """Store events in a transaction of their own.

    ORM form: ``Event.objects.bulk_create([…], ignore_conflicts=…)``.
    """
    text = _INSERT.format(now=transactions.now_sql())
    if ignore_conflicts:
        text += " ON CONFLICT DO NOTHING"
    columns = [[getattr(event, name) for event in events] for name in _COLUMNS]
    wire.exchange((text, columns))


_STAMP_LOCK = f"SELECT {_BY_INDEX} FROM inngest_counter WHERE id = 1 FOR NO KEY UPDATE"
_STAMP_LOCK_LAZILY = _STAMP_LOCK.replace("SELECT", f"SELECT {LAZILY},", 1)
_STAMP = (
    "WITH held AS (SELECT last_seq FROM inngest_counter WHERE id = 1),"
    " batch AS (SELECT id, received_at FROM inngest_event"
    " WHERE seq IS NULL AND routed_at IS NULL ORDER BY received_at, id LIMIT {limit}"
    " FOR NO KEY UPDATE SKIP LOCKED),"
    " placed AS (SELECT id AS event_id, row_number() OVER (ORDER BY received_at, id) AS place"
    " FROM batch), stamped AS (UPDATE inngest_event SET seq = held.last_seq + placed.place"
    " FROM placed, held WHERE inngest_event.id = placed.event_id RETURNING 1),"
    " counted AS (UPDATE inngest_counter SET last_seq = last_seq + (SELECT count(*) FROM placed)"
    " WHERE id = 1 AND EXISTS (SELECT 1 FROM placed))"
    " SELECT (SELECT count(*) FROM stamped), EXISTS (SELECT 1 FROM held)"
)


def stamp(*, limit: int) -> int | None:
    """Give so many committed events their place in the order; returns how many.

    ORM form: ``stamping._stamp_batch``. The counter's lock is a statement of its own, so that
    the update sees what the previous holder committed.

    It does not wait for the disk where the session is this connection's own: a server that
    dies takes the connection along, so that whoever looked at these events knows, and a lost
    place is given again.

    Returns:
        None when there is no counter yet.
    """
    [(count, is_counted)] = wire.exchange(
        (_STAMP_LOCK_LAZILY if wire.can_prepare() else _STAMP_LOCK, ()),
        (_STAMP.format(limit=limit), ()),
        before_commit="stamp.written",
    )
    return int(count) if is_counted else None


_READ = (
    "WITH batch AS (SELECT * FROM inngest_event WHERE routed_at IS NULL AND seq IS NOT NULL"
    " AND seq > %s ORDER BY seq LIMIT {limit}),"
    " waited AS (SELECT n.name, n.first, ARRAY(SELECT spec FROM inngest_wait_shape s"
    " WHERE s.event_name = n.name) AS shapes"
    " FROM (SELECT name, min(seq) AS first FROM batch GROUP BY name) n"
    f" WHERE {is_waited_for('n.name')})"
    " SELECT b.id, b.external_id, b.name,"
    " CASE WHEN w.name IS NULL AND b.name = ANY(%s::text[]) THEN NULL ELSE b.data END,"
    ' b."user", b.ts, b.version, b.received_at, b.seq,'
    # Once for each name; a list may be long.
    " CASE WHEN b.seq = w.first THEN w.shapes END"
    " FROM batch b LEFT JOIN waited w ON w.name = b.name ORDER BY b.seq"
)


def read_unrouted(
    *, above: int, limit: int, unnamed: Collection[str]
) -> tuple[list[Arrival], dict[str, list[str]]]:
    """Return the oldest stamped events above a ``seq``, and what waits for their names.

    ORM form: ``Event.objects.filter(routed_at=None, seq__gt=above).order_by("seq")[:limit]``,
    and for the names that open waits have, their ``WaitShape`` rows. One snapshot, in a
    transaction after the one that stamped.

    Args:
        unnamed: Names that no trigger has: data of such events is left out where nobody
            waits for them either.

    Returns:
        The events, and the shapes of each name that somebody waits for.
    """
    rows = wire.fetch(_READ.format(limit=limit), (above, sorted(unnamed)))
    return (
        [
            Arrival(EventRow(*row[:7]), received_at=transactions.as_moment(row[7]), seq=row[8])
            for row in rows
        ],
        {row[2]: row[9] for row in rows if row[9] is not None},
    )


_START = (
    "WITH held AS (SELECT id, seq, greatest({now}, to_timestamp(ts / 1000.0)) AS due"
    " FROM inngest_event WHERE id = ANY(%s::text[]) AND routed_at IS NULL AND seq IS NOT NULL"
    " ORDER BY seq FOR NO KEY UPDATE SKIP LOCKED),"
    " taken AS (INSERT INTO inngest_idempotency_key (function_id, key, run_id, expires_at)"
    " SELECT k.function_id, k.key, k.run_id, {expiry}"
    " FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) WITH ORDINALITY"
    " AS k (event_id, function_id, key, run_id, place) JOIN held ON held.id = k.event_id"
    " ORDER BY k.place ON CONFLICT (function_id, key) DO UPDATE SET run_id = excluded.run_id,"
    " expires_at = excluded.expires_at WHERE inngest_idempotency_key.expires_at <= {now}"
    " RETURNING run_id),"
    " wanted AS (SELECT n.*, held.seq, held.due"
    " FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[], %s::int[]) WITH ORDINALITY"
    " AS n (event_id, run_id, function_id, version, keys, place)"
    " JOIN held ON held.id = n.event_id"
    " WHERE n.keys = 0 OR n.keys = (SELECT count(*) FROM taken WHERE taken.run_id = n.run_id)),"
    " run AS (INSERT INTO inngest_run (id, function_id, function_version, status, reason,"
    " event_id, queued_at, revision, floor_seq, has_unscanned_rules)"
    " SELECT run_id, function_id, version, 'queued', '', event_id, {now}, 0, seq, false"
    " FROM wanted),"
    " job AS (INSERT INTO inngest_job (run_id, kind, function_id, available_at, attempt,"
    " lease_owner, is_draining, loss_count, free_loss_count, next_hint_at, hint_count, note)"
    " SELECT run_id, 'enter', function_id, due, 0, '', false, 0, 0,"
    " CASE WHEN due <= {soon} THEN due + interval '{grace} seconds' ELSE due END, 0, ''"
    " FROM wanted ORDER BY place RETURNING id, function_id, available_at),"
    " marked AS (UPDATE inngest_event SET routed_at = {now}"
    " FROM held WHERE inngest_event.id = held.id RETURNING 1)"
    " SELECT m.count, job.id, job.function_id,"
    " extract(epoch FROM job.available_at - {now})::float8, job.available_at <= {soon}"
    " FROM (SELECT count(*) AS count FROM marked) m LEFT JOIN job ON true ORDER BY job.id"
)


def start(
    event_ids: Sequence[str],
    runs: Sequence[NewRun],
    keys: Sequence[RunKey],
    *,
    key_life: dt.timedelta,
) -> Started:
    """Start runs and mark events routed.

    Those that somebody else routes are left out, and those that lost their place to a crash
    of the server: the look for waits that came before this was of another world.

    ORM form: ``routing._start_locked``: the events locked, ``IdempotencyKey`` rows upserted where
    they have expired, ``Run`` and ``Job`` rows of the runs that took all their keys, and
    ``update(routed_at=now)``.

    Args:
        event_ids: All that are to be marked, also those that start nothing.
        runs: Of these events, without cancel rules.
        keys: Each once, in the order in which they are to be taken.
    """
    now = transactions.now_sql()
    text = _START.format(
        now=now,
        expiry=now_plus(key_life.total_seconds()),
        soon=now_plus(lookahead().total_seconds()),
        grace=HINT_GRACE.total_seconds(),
    )
    rows = wire.exchange(
        (f"SELECT {BY_INDEX}", ()),
        (
            text,
            (
                list(event_ids),
                [key.event_id for key in keys],
                [key.function_id for key in keys],
                [key.key for key in keys],
                [key.run_id for key in keys],
                [run.event_id for run in runs],
                [run.run_id for run in runs],
                [run.function_id for run in runs],
                [run.function_version for run in runs],
                [run.key_count for run in runs],
            ),
        ),
        before_commit="route.start_written",
    )
    return Started(
        routed=int(rows[0][0]),
        entries=[NewEntry(row[1], row[2], max(0.0, row[3])) for row in rows if row[1] and row[4]],
    )
