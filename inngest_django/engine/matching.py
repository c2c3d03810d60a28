"""Matching: resuming the waits, and cancelling the runs, that arriving events match."""

from __future__ import annotations

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db import Error as DatabaseError

from inngest_django import expressions
from inngest_django.engine import cancellation, crash_points, hot_path, pieces, transactions, waits
from inngest_django.engine.hints import JobHint, execute_after_commit
from inngest_django.engine.hot_path import LockedRun, OpenWait, WaitMatch
from inngest_django.models import (
    Event,
    Job,
    Step,
    Wait,
    WaitKind,
    WaitShape,
    WaitStatus,
)
from inngest_django.serialization import dumps
from inngest_django.states import RUN_LIVE, JobKind, RunStatus, StepStatus

logger = logging.getLogger(__name__)

RUN_CHUNK = 50
PAGE = 2000  # Waits read at once.


@dataclasses.dataclass(frozen=True, slots=True)
class _Match:
    wait: OpenWait
    event: Event


def shapes_of(names: Collection[str]) -> dict[str, list[str]]:
    """Return the shapes of conditions on events, for those names that have open waits."""
    waited = Wait.objects.filter(event_name__in=names, status=WaitStatus.OPEN)
    shapes: dict[str, list[str]] = {
        name: [] for name in waited.values_list("event_name", flat=True).distinct()
    }
    for name, spec in WaitShape.objects.filter(event_name__in=shapes).values_list(
        "event_name", "spec"
    ):
        shapes[name].append(spec)
    return shapes


def settle_waits(
    batch: Sequence[Event], shapes: Mapping[str, Sequence[str]] | None = None
) -> list[Event]:
    """Settle the waits that the events match; returns the events for which that worked.

    Args:
        shapes: What ``shapes_of`` said of their names after the events had their ``seq``
            committed; it is asked now unless given.
    """
    if shapes is None:
        shapes = shapes_of({event.name for event in batch})
    events = {
        event.id: _Keyed(event, shapes[event.name]) for event in batch if event.name in shapes
    }
    failed: set[str] = set()
    for matches in _matches(list(events.values())):
        failed |= _settle(matches)
    return [event for event in batch if event.id not in failed]


class _Keyed:
    """An event with its keys."""

    def __init__(self, event: Event, shapes: Sequence[str]) -> None:
        self.event = event
        self.payload = event.payload()
        self.keys = expressions.keys_of(self.payload, event_name=event.name, shapes=shapes).keys

    def matches(self, wait: OpenWait) -> bool:
        event = self.event
        return (
            wait.event_name == event.name
            and event.seq is not None
            and wait.floor_seq < event.seq
            and event.received_at <= wait.expires_at
            and event.id not in wait.own_event_ids
            and waits.is_match(wait, waits.compiled(wait), self.payload)
        )


def _matches(events: Sequence[_Keyed]) -> Iterator[list[_Match]]:
    """Yield the waits with the first event that each matches.

    All at once as a rule. Where too many are found to be held in memory, event by event and
    some at a time, the next ones read when the last ones are settled.
    """
    every = sorted(set[int]().union(*(keyed.keys for keyed in events)))
    found = hot_path.waits_under(every, limit=PAGE + 1) if every else []
    if len(found) <= PAGE:
        yield _first_matches(events, found)
        return
    for keyed in events:
        for key in sorted(keyed.keys):
            last = 0
            while True:
                page = hot_path.waits_after(key, after=last, limit=PAGE)
                yield _first_matches([keyed], page)
                if len(page) < PAGE:
                    break
                last = page[-1].id


def _first_matches(events: Sequence[_Keyed], found: Sequence[OpenWait]) -> list[_Match]:
    rows: dict[int, list[OpenWait]] = defaultdict(list)
    for wait in found:
        rows[wait.key].append(wait)
    matches: dict[int, _Match] = {}
    for keyed in events:
        for key in keyed.keys:
            for wait in rows.get(key, ()):
                if wait.id not in matches and keyed.matches(wait):
                    matches[wait.id] = _Match(wait, keyed.event)
    return list(matches.values())


def _settle(matches: Sequence[_Match]) -> set[str]:
    """Settle in chunks of runs; returns the events of those that are locked."""
    by_run: dict[str, list[_Match]] = defaultdict(list)
    for match in matches:
        by_run[match.wait.run_id].append(match)
    failed: set[str] = set()
    run_ids = sorted(by_run)
    for first in range(0, len(run_ids), RUN_CHUNK):
        chunk = {
            run_id: sorted(by_run[run_id], key=lambda match: match.event.seq or 0)
            for run_id in run_ids[first : first + RUN_CHUNK]
        }
        failed |= _settle_chunk_or_singly(chunk)
    return failed


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


def _settle_chunk(chunk: Mapping[str, list[_Match]]) -> None:
    every = [match for found in chunk.values() for match in found]
    if hot_path.can_exchange() and not any(m.wait.kind == WaitKind.CANCEL for m in every):
        _settle_at_once(every)
    else:
        _settle_locked(chunk)


def _settle_at_once(matches: Sequence[_Match]) -> None:
    events = {match.event.id: match.event for match in matches}
    settled = hot_path.settle_matches(
        [
            WaitMatch(match.wait.id, match.wait.step_id or 0, match.wait.run_id, match.event.id)
            for match in matches
        ],
        outputs={event_id: dumps(event.payload()) for event_id, event in events.items()},
    )
    for step in settled:
        pieces.announce_step(
            step.run_id,
            step.function_id,
            step_id=step.step_id,
            name=step.step_name,
            status=StepStatus.COMPLETED,
        )
    entries = {step.entry_id: step.function_id for step in settled if step.entry_id is not None}
    execute_after_commit([JobHint(job_id, name) for job_id, name in entries.items()])


def _settle_locked(chunk: Mapping[str, list[_Match]]) -> None:
    with transactions.write() as cursor:
        if transactions.is_postgresql():
            # A stalled outcome that holds one run must not hold up the others.
            cursor.execute("SET LOCAL lock_timeout = '1s'")
        locked = _lock_runs(cursor, chunk)
        found = [match for run_id in locked for match in chunk[run_id]]
        open_waits = {
            wait.pk: wait
            for wait in Wait.objects.filter(
                pk__in={match.wait.id for match in found}, status=WaitStatus.OPEN
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
            wait = open_waits.pop(match.wait.id, None)
            run = locked[match.wait.run_id]
            if wait is None or run.id in ended:
                continue
            if wait.kind == WaitKind.CANCEL:
                ended.add(run.id)
                hints += cancellation.close(run, reason=f"cancelled by event {match.event.name}")
            elif wait.step_id is not None and wait.step_id in jobs:
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
        f"SELECT id, status, revision, floor_seq, {transactions.now_sql()}"
        f" FROM inngest_run WHERE id IN ({transactions.in_list(len(wanted))}) ORDER BY id {lock}",
        wanted,
    )
    return {
        run_id: LockedRun(
            run_id, RunStatus(status), revision, floor_seq, transactions.as_moment(now)
        )
        for run_id, status, revision, floor_seq, now in cursor.fetchall()
        if RunStatus(status) in RUN_LIVE
    }


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
