"""Routing: letting each committed event act, exactly once.

An event starts functions, resumes waits and cancels runs. Settling waits is idempotent and
commits in chunks of runs; the starts and ``routed_at`` commit together, after it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import InterfaceError, OperationalError

from inngest_django import expressions, ids
from inngest_django.engine import (
    crash_points,
    hot_path,
    idempotency,
    ingest,
    matching,
    runs,
    stamping,
    sync,
    transactions,
    triggers,
)
from inngest_django.engine.hints import JobHint, execute_after_commit
from inngest_django.engine.hot_path import Arrival
from inngest_django.models import Event
from inngest_django.serialization import loads

logger = logging.getLogger(__name__)

BATCH = 100
_MAX_BATCHES = 200


def route() -> int:
    """Stamp and route what is there; returns how many events were routed.

    An event that cannot be routed now (its run is locked, its data breaks something) delays
    itself only: it is left for the next routing, and later ones go first.
    """
    stamping.stamp(is_expected=True)
    routed, position = 0, -1
    for _ in range(_MAX_BATCHES):
        batch, shapes = _read(position)
        if not batch:
            break
        position = batch[-1].seq or position
        crash_points.reach("route.before_settle")
        settled = matching.settle_waits(batch, shapes)
        crash_points.reach("route.settle_committed")
        try:
            routed += _start_retrying(settled)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            logger.exception("routing a batch failed, going one by one")
            routed += _start_one_by_one(settled)
        crash_points.reach("route.start_committed")
        if len(batch) < BATCH:
            # Whatever was stamped since then has a hint of its own.
            break
    return routed


def _read(above: int) -> tuple[list[Event], dict[str, list[str]]]:
    """Return stamped events, and the shapes of the waits for each name that has open ones."""
    if not hot_path.can_exchange():
        batch = list(
            Event.objects.filter(routed_at__isnull=True, seq__gt=above).order_by("seq")[:BATCH]
        )
        return batch, matching.shapes_of({event.name for event in batch})
    unnamed = [name for name in ingest.INTERNAL_NAMES if not triggers.is_named(name)]
    arrivals, shapes = transactions.retrying(
        lambda: hot_path.read_unrouted(above=above, limit=BATCH, unnamed=unnamed)
    )
    return [_as_event(arrival) for arrival in arrivals], shapes


def _as_event(arrival: Arrival) -> Event:
    row = arrival.event
    return Event(
        id=row.id,
        external_id=row.external_id,
        name=row.name,
        data=None if row.data is None else loads(row.data),
        user=None if row.user is None else loads(row.user),
        ts=row.ts,
        version=row.version,
        received_at=arrival.received_at,
        seq=arrival.seq,
    )


def _start_retrying(batch: Sequence[Event]) -> int:
    return transactions.retrying(lambda: _start(batch))


def _start_one_by_one(batch: Sequence[Event]) -> int:
    routed = 0
    for event in batch:
        try:
            routed += _start_retrying([event])
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
    """Start what the events trigger and mark them routed, in one transaction.

    Those that start runs with cancel rules have one of their own where the others go in one
    round trip.
    """
    if not batch:
        return 0
    if not hot_path.can_exchange():
        return _start_locked(batch)
    plain: list[Event] = []
    candidates: list[_Candidate] = []
    with_rules = []
    for event in batch:
        found = _candidates(event)
        if any(candidate.config.get("cancel") for candidate in found):
            with_rules.append(event)
        else:
            plain.append(event)
            candidates += found
    routed = _start_at_once(plain, candidates) if plain else 0
    return routed + (_start_locked(with_rules) if with_rules else 0)


def _start_at_once(batch: Sequence[Event], candidates: Sequence[_Candidate]) -> int:
    started = hot_path.start(
        [event.id for event in batch],
        [
            hot_path.NewRun(
                candidate.event.id,
                candidate.run_id,
                candidate.function_id,
                sync.version_of(candidate.function_id),
                len(candidate.keys),
            )
            for candidate in candidates
        ],
        [
            hot_path.RunKey(candidate.event.id, candidate.run_id, function_id, key)
            for (function_id, key), candidate in _first_by_key(candidates)
        ],
        key_life=idempotency.WINDOW,
    )
    execute_after_commit(
        [JobHint(entry.job_id, entry.function_id, entry.delay) for entry in started.entries]
    )
    return started.routed


def _start_locked(batch: Sequence[Event]) -> int:
    with transactions.write():
        events = _lock_unrouted(batch)
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


def _lock_unrouted(batch: Sequence[Event]) -> list[Event]:
    """Return those that are still to be routed, locked.

    One without a place was looked at in a world that a crash of the server undid.
    """
    return list(
        Event.objects.filter(pk__in=[e.pk for e in batch], routed_at=None)
        .exclude(seq=None)
        .order_by("seq")
        .select_for_update(no_key=True, skip_locked=True)
    )


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


def _first_by_key(
    candidates: Sequence[_Candidate],
) -> list[tuple[tuple[str, str], _Candidate]]:
    """Return each function's keys with the first candidate that wants them, in their order.

    Keys are taken in one order everywhere, and once each: two routers that upsert a, b and
    b, a would deadlock, and one statement cannot touch a row twice.
    """
    wanted: dict[tuple[str, str], _Candidate] = {}
    for candidate in candidates:
        for key in candidate.keys:
            wanted.setdefault((candidate.function_id, key), candidate)
    return sorted(wanted.items(), key=lambda item: (item[0][0].encode(), item[0][1].encode()))


def _without_duplicates(candidates: Sequence[_Candidate], *, now: dt.datetime) -> list[_Candidate]:
    """Keep the starts whose keys were free, taking the keys for 24 hours."""
    taken: set[tuple[str, str, str]] = set()
    for (function_id, key), candidate in _first_by_key(candidates):
        if idempotency.take(function_id, key, candidate.run_id, now=now):
            taken.add((function_id, key, candidate.run_id))
    return [
        candidate
        for candidate in candidates
        if all((candidate.function_id, key, candidate.run_id) in taken for key in candidate.keys)
    ]
