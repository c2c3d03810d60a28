"""Matching: resuming the waits, and cancelling the runs, that arriving events match."""

from __future__ import annotations

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db import Error as DatabaseError

from inngest_django import expressions
from inngest_django.engine import cancellation, crash_points, hot_path, pieces, transactions, waits
from inngest_django.engine.hints import JobHint, execute_after_commit
from inngest_django.engine.hot_path import LockedRun
from inngest_django.models import (
    Event,
    Job,
    Step,
    Wait,
    WaitKey,
    WaitKind,
    WaitShape,
    WaitStatus,
)
from inngest_django.serialization import dumps
from inngest_django.states import RUN_LIVE, JobKind, RunStatus, StepStatus

logger = logging.getLogger(__name__)

RUN_CHUNK = 50


@dataclasses.dataclass(frozen=True, slots=True)
class _Match:
    wait_id: int
    run_id: str
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
    matches = _matches([event for event in batch if event.name in shapes], shapes)
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


def _matches(batch: Sequence[Event], shapes: Mapping[str, Sequence[str]]) -> list[_Match]:
    keys_of = {
        event.id: expressions.keys_of(
            event.payload(), event_name=event.name, shapes=shapes[event.name]
        ).keys
        for event in batch
    }
    found = []
    every = sorted(set[int]().union(*keys_of.values()))
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
        and event.received_at <= wait.expires_at
    )


def _settle_chunk(chunk: Mapping[str, list[_Match]]) -> None:
    with transactions.write() as cursor:
        if transactions.is_postgresql():
            # A stalled outcome that holds one run must not hold up the others.
            cursor.execute("SET LOCAL lock_timeout = '1s'")
        locked, own = _lock_runs(cursor, chunk)
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
            if wait is None or match.run_id in ended or match.event.id in own[match.run_id]:
                continue
            if wait.kind == WaitKind.CANCEL:
                ended.add(match.run_id)
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


def _lock_runs(
    cursor: Any, run_ids: Iterable[str]
) -> tuple[dict[str, LockedRun], dict[str, list[str]]]:
    """Lock live runs in the order of their ids, in a statement of its own.

    Returns:
        The locked runs, and the ids of their own events, which never resume them.
    """
    wanted = sorted(run_ids)
    lock = "FOR NO KEY UPDATE" if transactions.is_postgresql() else ""
    cursor.execute(
        f"SELECT id, status, revision, floor_seq, {transactions.now_sql()}, event_id, event_ids"
        f" FROM inngest_run WHERE id IN ({transactions.in_list(len(wanted))}) ORDER BY id {lock}",
        wanted,
    )
    locked, own = {}, {}
    for run_id, status, revision, floor_seq, now, event_id, event_ids in cursor.fetchall():
        if RunStatus(status) in RUN_LIVE:
            locked[run_id] = LockedRun(
                run_id, RunStatus(status), revision, floor_seq, transactions.as_moment(now)
            )
            own[run_id] = hot_path.decoded_ids(event_ids) or [event_id]
    return locked, own


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
