"""Releases: starting functions by the clock.

The tick releases what is due: run, event and the schedule's next time commit together, and a
key makes a function and a time start once, however many ticks run and however many triggers
of the function name that time. Times that passed while nothing ran are made up for, each with
a run of its own.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Collection, Mapping
from typing import Any

from django.db.models import QuerySet

from inngest_django import crons, ids
from inngest_django.engine import idempotency, ingest, runs, schedules, transactions, waits
from inngest_django.engine.hints import execute_after_commit
from inngest_django.functions import registry
from inngest_django.models import Event, Function, Schedule

logger = logging.getLogger(__name__)

# Of the times that passed while nothing ran, the newest are made up for.
MOST_MISSED = 100
_BATCH = 100
_MAX_BATCHES = 20


def release(*, ahead: dt.timedelta = dt.timedelta()) -> int:
    """Start what is due by the clock; returns how many runs.

    Args:
        ahead: Releases what is due within this time, too: its run exists a moment early, and
            begins on time.
    """
    total = 0
    broken: set[int] = set()
    for _ in range(_MAX_BATCHES):
        now = transactions.now()
        if not _due(now, ahead).exclude(pk__in=broken).exists():
            break
        total += transactions.retrying(lambda: _release_batch(ahead, broken))
    return total


def _due(now: dt.datetime, ahead: dt.timedelta) -> QuerySet[Schedule]:
    return schedules.alive(now).filter(fires_at__lte=now + ahead)


def _release_batch(ahead: dt.timedelta, broken: set[int]) -> int:
    with transactions.write() as cursor:
        now = transactions.now()
        rows = list(
            _due(now, ahead)
            .exclude(pk__in=broken)
            .order_by("fires_at", "id")
            .select_for_update(no_key=True, skip_locked=True)[:_BATCH]
        )
        floor = waits.current_floor(cursor)
        configs = _configs({row.function_id for row in rows})
        starts = []
        # Keys are taken in one order everywhere.
        for row in sorted(rows, key=lambda row: (row.function_id.encode(), row.next_at)):
            try:
                _leave_out_too_old(row, now)
                following = crons.after(row.cron, row.next_at)
            except ValueError:
                # A zone that this host does not know: others may.
                logger.exception(
                    "a schedule has no next time here",
                    extra={"function_id": row.function_id, "cron": row.cron},
                )
                broken.add(row.pk)
                continue
            start = _start(row, now=now, floor=floor, config=configs[row.function_id])
            if start is not None:
                starts.append(start)
            row.last_at = row.next_at
            schedules.move(row, following)
            schedules.write(row, "last_at", "next_at", "fires_at")
        execute_after_commit(runs.start(starts, now=now))
    return len(starts)


def _leave_out_too_old(row: Schedule, now: dt.datetime) -> None:
    """Go on with the newest times, where more have passed than are made up for."""
    if crons.upcoming(row.cron, row.next_at, MOST_MISSED)[-1] > now:
        return
    row.next_at = crons.newest(row.cron, now, MOST_MISSED)[0]
    logger.warning(
        "the times of a schedule before %s passed while nothing ran, and are left out:"
        " the newest %d are made up for",
        row.next_at.isoformat(),
        MOST_MISSED,
        extra={"function_id": row.function_id, "cron": row.cron},
    )


def _start(
    row: Schedule, *, now: dt.datetime, floor: int, config: Mapping[str, Any]
) -> runs.Start | None:
    """Return the run of a schedule's next time, with its event stored; None when it has one."""
    run_id = ids.new_ulid()
    scheduled, fire = schedules.as_text(row.next_at), max(row.fires_at, now)
    if not idempotency.take(row.function_id, f"s:{scheduled}", run_id, now=now):
        return None
    event = Event(
        id=ids.new_ulid(),
        external_id=scheduled,
        name=ingest.SCHEDULED,
        data={"cron": row.cron, "scheduledAt": scheduled, "fireAt": schedules.as_text(fire)},
        ts=int(fire.timestamp() * 1000),
        received_at=now,
        # Addressed to one function, as an invoke's.
        routed_at=now,
        seq=floor,
    )
    Event.objects.bulk_create([event])
    return runs.Start(
        run_id=run_id,
        function_id=row.function_id,
        event=event,
        floor_seq=floor,
        available_at=fire,
        cancel_rules=config.get("cancel") or (),
    )


def _configs(function_ids: Collection[str]) -> dict[str, Mapping[str, Any]]:
    here = {
        function_id: function.config()
        for function_id in function_ids
        if (function := registry.get(function_id)) is not None
    }
    elsewhere = [function_id for function_id in function_ids if function_id not in here]
    stored = Function.objects.filter(pk__in=elsewhere).values_list("id", "config")
    return {function_id: {} for function_id in elsewhere} | dict(stored) | here
