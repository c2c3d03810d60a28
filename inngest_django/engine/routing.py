"""Routing: giving committed events their order, then letting each one act, exactly once.

An event starts functions, resumes waits and cancels runs. Stamping comes first, in a short
transaction of its own, so that the order of ``seq`` is the order of commits. Settling waits
is idempotent and commits in chunks of runs; the starts and ``routed_at`` commit together.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import Error as DatabaseError

from inngest_django import expressions, ids
from inngest_django.durations import parse_duration
from inngest_django.engine import (
    cancellation,
    crash_points,
    hot_path,
    pieces,
    runs,
    transactions,
    triggers,
    waits,
)
from inngest_django.engine.hints import JobHint, execute_after_commit
from inngest_django.engine.hot_path import LockedRun
from inngest_django.models import (
    Counter,
    Event,
    IdempotencyKey,
    Job,
    Run,
    Step,
    Wait,
    WaitKey,
    WaitKind,
    WaitShape,
    WaitStatus,
)
from inngest_django.serialization import dumps

from inngest_django.states import JobKind, RunStatus, StepStatus, RUN_LIVE  # isort: skip

logger = logging.getLogger(__name__)

STAMP_BATCH = 500
BATCH = 100
RUN_CHUNK = 50
IDEMPOTENCY_WINDOW = parse_duration("24h")
_MAX_BATCHES = 200


def stamp() -> int:
    """Give committed events their place in the order; returns how many.

    One at a time: the counter's row lock is held until the commit, and is taken in a
    statement of its own, so that the update sees what the previous holder committed.
    """
    total = 0
    while True:
        count = transactions.retrying(_stamp_batch)
        crash_points.reach("stamp.committed")
        total += count
        if count < STAMP_BATCH:
            return total


def _stamp_batch() -> int:
    if not Event.objects.filter(seq__isnull=True, routed_at__isnull=True).exists():
        return 0
    on_postgresql = transactions.is_postgresql()
    lock = "FOR NO KEY UPDATE SKIP LOCKED" if on_postgresql else ""
    with transactions.write() as cursor:
        if on_postgresql:
            # Safe: any later durable commit flushes it, and a lost stamp is given again.
            cursor.execute("SET LOCAL synchronous_commit = off")
        last = _lock_counter(cursor)
        cursor.execute(
            "UPDATE inngest_event SET seq = n.place + %s FROM ("
            " SELECT id AS event_id, row_number() OVER (ORDER BY id) AS place FROM ("
            "  SELECT id FROM inngest_event WHERE seq IS NULL AND routed_at IS NULL"
            f"  ORDER BY id LIMIT %s {lock}) AS batch) AS n"
            " WHERE inngest_event.id = n.event_id",
            (last, STAMP_BATCH),
        )
        count = int(cursor.rowcount)
        if count:
            cursor.execute("UPDATE inngest_counter SET last_seq = %s WHERE id = 1", (last + count,))
        crash_points.reach("stamp.written")
        return count


def _lock_counter(cursor: Any) -> int:
    lock = "FOR NO KEY UPDATE" if transactions.is_postgresql() else ""
    for _ in range(2):
        cursor.execute(f"SELECT last_seq FROM inngest_counter WHERE id = 1 {lock}")
        row = cursor.fetchone()
        if row is not None:
            return int(row[0])
        Counter.objects.bulk_create([Counter(id=1, last_seq=0)], ignore_conflicts=True)
    raise AssertionError("the counter row cannot be created")


def route() -> int:
    """Stamp and route what is there; returns how many events were routed.

    An event that cannot be routed now (its run is locked, its data breaks something) delays
    itself only: it is left for the next routing, and later ones go first.
    """
    stamp()
    routed, position = 0, -1
    for _ in range(_MAX_BATCHES):
        batch = list(
            Event.objects.filter(routed_at__isnull=True, seq__gt=position).order_by("seq")[:BATCH]
        )
        if not batch:
            break
        position = batch[-1].seq
        crash_points.reach("route.before_settle")
        settled = _settle_waits(batch)
        crash_points.reach("route.settle_committed")
        try:
            routed += transactions.retrying(lambda ready=settled: _start(ready))
        except DatabaseError:
            raise
        except Exception:
            logger.exception("routing a batch failed, going one by one")
            routed += _start_one_by_one(settled)
        crash_points.reach("route.start_committed")
    return routed


def _start_one_by_one(batch: Sequence[Event]) -> int:
    routed = 0
    for event in batch:
        try:
            routed += transactions.retrying(lambda one=event: _start([one]))
        except Exception:
            logger.exception("event cannot be routed", extra={"event_id": event.id})
    return routed


# ------------------------------------------------------------------------------------- starts


@dataclasses.dataclass(frozen=True, slots=True)
class _Candidate:
    event: Event
    run_id: str
    function_id: str
    config: Mapping[str, Any]
    keys: tuple[str, ...]


def _start(batch: Sequence[Event]) -> int:
    """Start what the events trigger and mark them routed, in one transaction."""
    if not batch:
        return 0
    with transactions.write():
        events = list(
            Event.objects.filter(pk__in=[e.pk for e in batch], routed_at__isnull=True)
            .order_by("seq")
            .select_for_update(no_key=True, skip_locked=True)
        )
        if not events:
            return 0
        now = transactions.now()
        candidates = [c for event in events for c in _candidates(event)]
        winners = _without_duplicates(candidates, now=now)
        hints = runs.start([_as_start(c, now=now) for c in winners], now=now)
        Event.objects.filter(pk__in=[e.pk for e in events]).update(routed_at=now)
        execute_after_commit(hints)
        crash_points.reach("route.start_written")
        return len(events)


def _candidates(event: Event) -> list[_Candidate]:
    payload = event.payload()
    found = []
    for function_id, config in triggers.started_by(payload).items():
        keys = [f"e:{event.external_id}"] if event.external_id else []
        source = config.get("idempotency")
        if source:
            try:
                program = expressions.compile(source, kind="key")
                bucket = expressions.bucket_key(program, payload)
            except expressions.ExpressionError:
                # Starting twice is the smaller harm than not starting at all.
                logger.warning(
                    "idempotency expression failed, ignored", extra={"function_id": function_id}
                )
            else:
                if bucket is not None:
                    keys.append(f"x:{bucket}")
        found.append(_Candidate(event, ids.new_ulid(), function_id, config, tuple(keys)))
    return found


def _as_start(candidate: _Candidate, *, now: dt.datetime) -> runs.Start:
    event = candidate.event
    at = dt.datetime.fromtimestamp(event.ts / 1000, dt.UTC)
    return runs.Start(
        run_id=candidate.run_id,
        function_id=candidate.function_id,
        event=event,
        floor_seq=event.seq or 0,
        available_at=max(at, now),
        cancel_rules=candidate.config.get("cancel") or (),
    )


def _without_duplicates(candidates: Sequence[_Candidate], *, now: dt.datetime) -> list[_Candidate]:
    """Keep the starts whose keys were free, taking the keys for 24 hours.

    Keys are taken in one order everywhere, and once each: two routers that upsert a, b and
    b, a would deadlock, and one statement cannot touch a row twice.
    """
    wanted: dict[tuple[str, str], _Candidate] = {}
    for candidate in candidates:
        for key in candidate.keys:
            wanted.setdefault((candidate.function_id, key), candidate)
    taken: set[tuple[str, str, str]] = set()
    for (function_id, key), candidate in sorted(
        wanted.items(), key=lambda item: (item[0][0].encode(), item[0][1].encode())
    ):
        if _take_key(function_id, key, candidate.run_id, now=now):
            taken.add((function_id, key, candidate.run_id))
    return [
        candidate
        for candidate in candidates
        if all((candidate.function_id, key, candidate.run_id) in taken for key in candidate.keys)
    ]


def _take_key(function_id: str, key: str, run_id: str, *, now: dt.datetime) -> bool:
    table = IdempotencyKey._meta.db_table
    moment = hot_path.as_param(now)
    with transactions.connection().cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (function_id, key, run_id, expires_at) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (function_id, key) DO UPDATE SET run_id = excluded.run_id,"
            f" expires_at = excluded.expires_at WHERE {table}.expires_at <= %s RETURNING run_id",
            (function_id, key, run_id, hot_path.as_param(now + IDEMPOTENCY_WINDOW), moment),
        )
        return cursor.fetchone() is not None


# -------------------------------------------------------------------------------------- waits


@dataclasses.dataclass(frozen=True, slots=True)
class _Match:
    wait_id: int
    run_id: str
    event: Event


def _settle_waits(batch: Sequence[Event]) -> list[Event]:
    """Settle the waits that the events match; returns the events for which that worked."""
    matches = _matches(batch)
    if not matches:
        return list(batch)
    failed: set[str] = set()
    by_run: dict[str, list[_Match]] = defaultdict(list)
    for match in matches:
        by_run[match.run_id].append(match)
    run_ids = sorted(by_run)
    for first in range(0, len(run_ids), RUN_CHUNK):
        chunk = {run_id: by_run[run_id] for run_id in run_ids[first : first + RUN_CHUNK]}
        failed |= _settle_chunk_or_singly(chunk)
    return [event for event in batch if event.id not in failed]


def _settle_chunk_or_singly(chunk: Mapping[str, list[_Match]]) -> set[str]:
    try:
        transactions.retrying(lambda: _settle_chunk(chunk), tries=2)
    except DatabaseError:
        if transactions.connection().in_atomic_block:
            raise
    else:
        return set()
    failed: set[str] = set()
    for run_id, found in chunk.items():
        try:
            _settle_chunk({run_id: found})
        except DatabaseError:
            logger.warning("run is locked, its events wait", extra={"run_id": run_id})
            failed |= {match.event.id for match in found}
    return failed


def _matches(batch: Sequence[Event]) -> list[_Match]:
    shapes: dict[str, list[str]] = defaultdict(list)
    for name, spec in WaitShape.objects.filter(
        event_name__in={event.name for event in batch}
    ).values_list("event_name", "spec"):
        shapes[name].append(spec)
    keys_of = {
        event.id: expressions.keys_of(
            event.payload(), event_name=event.name, shapes=shapes[event.name]
        ).keys
        for event in batch
    }
    found = []
    every = sorted(set().union(*keys_of.values()))
    rows: dict[int, list[Wait]] = defaultdict(list)
    for first in range(0, len(every), 500):
        for entry in (
            WaitKey.objects.filter(key__in=every[first : first + 500], wait__status=WaitStatus.OPEN)
            .select_related("wait")
            .iterator(chunk_size=2000)
        ):
            rows[entry.key].append(entry.wait)
    if not rows:
        return []
    for event in batch:
        payload = event.payload()
        seen: set[int] = set()
        for key in keys_of[event.id]:
            for wait in rows.get(key, ()):
                if wait.pk in seen or not _is_eligible(wait, event):
                    continue
                seen.add(wait.pk)
                if waits.is_match(wait, waits.compiled(wait), payload):
                    found.append(_Match(wait.pk, wait.run_id, event))
    return found


def _is_eligible(wait: Wait, event: Event) -> bool:
    return (
        wait.event_name == event.name
        and event.seq is not None
        and wait.floor_seq < event.seq
        and (wait.expires_at is None or event.received_at <= wait.expires_at)
    )


def _settle_chunk(chunk: Mapping[str, list[_Match]]) -> None:
    with transactions.write() as cursor:
        if transactions.is_postgresql():
            # A stalled outcome that holds one run must not hold up the others.
            cursor.execute("SET LOCAL lock_timeout = '1s'")
        locked = _lock_runs(cursor, chunk)
        found = sorted(
            (match for run_id in locked for match in chunk[run_id]),
            key=lambda match: (match.run_id, match.event.seq or 0),
        )
        open_waits = {
            wait.pk: wait
            for wait in Wait.objects.filter(
                pk__in={match.wait_id for match in found}, status=WaitStatus.OPEN
            )
        }
        jobs = {
            job.step_id: job
            for job in Job.objects.filter(
                step_id__in={w.step_id for w in open_waits.values() if w.step_id},
                kind=JobKind.WAIT,
            )
            .order_by("id")
            .select_for_update()
        }
        names = dict(Step.objects.filter(pk__in=list(jobs)).values_list("id", "name"))
        hints: list[JobHint] = []
        ended: set[str] = set()
        for match in found:
            wait = open_waits.pop(match.wait_id, None)
            run = locked[match.run_id]
            if wait is None or match.run_id in ended or _is_own(match):
                continue
            if wait.kind == WaitKind.CANCEL:
                ended.add(match.run_id)
                hints += cancellation.close(run, reason=f"cancelled by event {match.event.name}")
            elif wait.step_id in jobs:
                hints += settle_match(
                    cursor,
                    run,
                    wait=wait,
                    event=match.event,
                    job=jobs[wait.step_id],
                    step_name=names[wait.step_id],
                )
        execute_after_commit(hints)
        crash_points.reach("route.settle_written")


def _lock_runs(cursor: Any, run_ids: Iterable[str]) -> dict[str, LockedRun]:
    """Lock live runs in the order of their ids, in a statement of its own."""
    wanted = sorted(run_ids)
    lock = "FOR NO KEY UPDATE" if transactions.is_postgresql() else ""
    cursor.execute(
        f"SELECT id, status, revision, floor_seq, {transactions.now_sql()} FROM inngest_run"
        f" WHERE id IN ({transactions.in_list(len(wanted))}) ORDER BY id {lock}",
        wanted,
    )
    return {
        row[0]: LockedRun(row[0], RunStatus(row[1]), row[2], row[3], transactions.as_moment(row[4]))
        for row in cursor.fetchall()
        if RunStatus(row[1]) in RUN_LIVE
    }


def _is_own(match: _Match) -> bool:
    run = Run.objects.only("event_id", "event_ids").get(pk=match.run_id)
    return match.event.id in (run.event_ids or [run.event_id])


def settle_match(
    cursor: Any, run: LockedRun, *, wait: Wait, event: Event, job: Job, step_name: str
) -> list[JobHint]:
    """Resume the step of a wait with an event; the run's lock is held and the wait is open."""
    Wait.objects.filter(pk=wait.pk).update(matched_event=event)
    pieces.close_waits([wait.pk], status=WaitStatus.MATCHED, now=run.now)
    return pieces.settle(
        cursor,
        run,
        function_id=job.function_id,
        step_id=job.step_id or 0,
        job_id=job.pk,
        name=step_name,
        status=StepStatus.COMPLETED,
        output=dumps(event.payload()),
    )
