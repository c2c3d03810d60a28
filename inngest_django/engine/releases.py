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

from django.db import InterfaceError, OperationalError
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
# What is wrong with the database is not a schedule's fault.
_FAULTS = (OperationalError, InterfaceError)
_told: set[int] = set()


def release(*, ahead: dt.timedelta = dt.timedelta()) -> int:
    """Start what is due by the clock; returns how many runs.

    A schedule that cannot be released delays itself, not the others.

    Args:
        ahead: Releases what is due within this time, too: its run exists a moment early, and
            begins on time.
    """
    total = 0
    # Those that another tick holds, and those that cannot be released.
    left: set[int] = set()
    for _ in range(_MAX_BATCHES):
        due = _due(transactions.now(), ahead).exclude(pk__in=left)
        keys = list(due.order_by("fires_at", "id").values_list("pk", flat=True)[:_BATCH])
        if not keys:
            break
        try:
            started, done = _release_retrying(keys, ahead)
        except _FAULTS:
            raise
        except Exception:  # noqa: BLE001 - told of the one that it came from
            started, done = _release_one_by_one(keys, ahead)
        total += started
        left |= set(keys) - done
    return total


def _due(now: dt.datetime, ahead: dt.timedelta) -> QuerySet[Schedule]:
    return schedules.alive(now).filter(fires_at__lte=now + ahead)


def _release_retrying(keys: Collection[int], ahead: dt.timedelta) -> tuple[int, set[int]]:
    return transactions.retrying(lambda: _release(keys, ahead))


def _release_one_by_one(keys: Collection[int], ahead: dt.timedelta) -> tuple[int, set[int]]:
    total, done = 0, set[int]()
    for key in keys:
        try:
            started, released = _release_retrying([key], ahead)
        except _FAULTS:
            raise
        except Exception:
            # Once a process: it is due again with each tick.
            if key not in _told:
                _told.add(key)
                logger.exception("a schedule cannot be released", extra={"schedule_id": key})
        else:
            total += started
            done |= released
    return total, done


def _release(keys: Collection[int], ahead: dt.timedelta) -> tuple[int, set[int]]:
    """Start what is due of these; returns how many runs, and the rows that nobody else held."""
    with transactions.write() as cursor:
        now = transactions.now()
        rows = list(
            _due(now, ahead)
            .filter(pk__in=keys)
            .order_by("id")
            .select_for_update(no_key=True, skip_locked=True)
        )
        floor = waits.current_floor(cursor)
        configs = _configs({row.function_id for row in rows})
        starts = []
        # Keys are taken in one order everywhere.
        for row in sorted(rows, key=lambda row: (row.function_id.encode(), row.next_at)):
            _leave_out_too_old(row, now)
            start = _start(row, now=now, floor=floor, config=configs[row.function_id])
            if start is not None:
                starts.append(start)
            row.last_at = row.next_at
            schedules.move(row, crons.after(row.cron, row.next_at))
            schedules.write(row, "last_at", "next_at", "fires_at")
        execute_after_commit(runs.start(starts, now=now))
    return len(starts), {row.pk for row in rows}


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
