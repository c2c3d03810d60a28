"""Deleting what is over and old, in small batches and without ORM cascades.

A pruning goes on until nothing is due. The task works for about a second and asks for its next
turn by another message, so that routing and ticks in the same queue wait no longer than that.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Callable

from django.db.models import Count, Exists, F, OuterRef

from inngest_django import clock, conf, ids
from inngest_django.engine import hints, transactions
from inngest_django.models import (
    Attempt,
    Event,
    IdempotencyKey,
    Job,
    Pulse,
    Run,
    Step,
    Wait,
    WaitKey,
)
from inngest_django.states import RUN_ENDED, RUN_LIVE

# What one transaction deletes. Runs bring their steps, of which one may have a thousand.
BATCH = 500
BATCH_STEPS = 5_000
TURN = dt.timedelta(seconds=1)
# No clock of a sender is so far ahead.
_CLOCK_SLACK = dt.timedelta(days=1)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PruneReport:
    """How many rows went, and whether some were left for another turn."""

    runs: int = 0
    events: int = 0
    idempotency_keys: int = 0
    is_done: bool = True


def prune_in_turns(number: int | None = None) -> PruneReport:
    """Prune for one turn, and ask for the next one while something is left.

    Args:
        number: Which pruning to go on with; a new one begins unless given.

    A new pruning ends the one before: otherwise one more of them would circle in the queue
    with each beat, for as long as a large backlog lasts.
    """
    if number is None:
        number = _begin()
    elif not Pulse.objects.filter(pk=1, prunings=number).exists():
        return PruneReport()
    report = prune(within=TURN)
    if not report.is_done:
        hints.prune(number)
    return report


def prune(*, before: dt.datetime | None = None, within: dt.timedelta | None = None) -> PruneReport:
    """Delete runs that ended, and events received, before a moment.

    Args:
        before: Default: ``INNGEST["RETENTION"]`` ago; with RETENTION None nothing but expired
            idempotency keys goes.
        within: How long to begin further batches; to the end unless given.

    Events of runs that are kept stay, and so do events that were not routed yet. Runs whose
    parent lives stay, because the parent may still read their result.
    """
    retention = conf.get().RETENTION
    limit = before or (clock.now() - retention if retention is not None else None)
    sweep = _Sweep(within)
    keys = sweep.all_of(_prune_keys)
    runs = events = 0
    if limit is not None:
        # In this order, since an event goes only after its runs.
        runs = sweep.all_of(lambda: _prune_runs(limit))
        events = sweep.all_of(lambda: _prune_events(limit, pk__lt=ids.first_ulid_of(limit)))
        # A sender may choose ids, and with them a time to come.
        to_come = ids.first_ulid_of(clock.now() + _CLOCK_SLACK)
        events += sweep.all_of(lambda: _prune_events(limit, pk__gte=to_come))
    return PruneReport(runs=runs, events=events, idempotency_keys=keys, is_done=not sweep.is_over)


class _Sweep:
    """Runs batches until nothing is left or the time is over."""

    def __init__(self, within: dt.timedelta | None) -> None:
        self._until = None if within is None else time.monotonic() + within.total_seconds()
        self.is_over = False

    def all_of(self, prune_batch: Callable[[], tuple[int, bool]]) -> int:
        """Return how many rows went; a batch says so, and whether there may be more."""
        total, has_more = 0, True
        while has_more and not self.is_over:
            count, has_more = transactions.retrying(prune_batch)
            total += count
            # At least one batch, so that every turn gets further.
            self.is_over = has_more and self._until is not None and time.monotonic() >= self._until
        return total


def _begin() -> int:
    def work() -> int:
        with transactions.write():
            Pulse.objects.bulk_create([Pulse(id=1)], ignore_conflicts=True)
            Pulse.objects.filter(pk=1).update(prunings=F("prunings") + 1)
            return Pulse.objects.values_list("prunings", flat=True).get(pk=1)

    return transactions.retrying(work)


def _prune_keys() -> tuple[int, bool]:
    table = IdempotencyKey._meta.db_table
    with transactions.write() as cursor:
        cursor.execute(
            f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table}"
            f" WHERE expires_at < {transactions.now_sql()} ORDER BY expires_at LIMIT %s)",
            (BATCH,),
        )
        count = int(cursor.rowcount)
    return count, count == BATCH


def _prune_runs(limit: dt.datetime) -> tuple[int, bool]:
    using = transactions.connection().alias
    with transactions.write():
        old = list(
            # A ULID sorts by time: the oldest come first, without an index on ended_at.
            Run.objects.filter(
                pk__lt=ids.first_ulid_of(limit), status__in=RUN_ENDED, ended_at__lt=limit
            )
            .exclude(parent__run__status__in=RUN_LIVE)
            .order_by("id")
            # Two prunings at a time take different runs.
            .select_for_update(skip_locked=True, of=("self",))
            .values_list("id", flat=True)[:BATCH]
        )
        run_ids = _as_many_as_fit(old)
        steps = Step.objects.filter(run_id__in=run_ids)
        Run.objects.filter(parent__in=steps.values("id")).update(parent=None)
        Run.objects.filter(original_run_id__in=run_ids).update(original_run=None)
        waits = Wait.objects.filter(run_id__in=run_ids)
        WaitKey.objects.filter(wait__in=waits.values("id"))._raw_delete(using)
        waits._raw_delete(using)
        Attempt.objects.filter(run_id__in=run_ids)._raw_delete(using)
        Job.objects.filter(run_id__in=run_ids)._raw_delete(using)
        Run.objects.filter(pk__in=run_ids).update(parent=None)
        steps._raw_delete(using)
        Run.objects.filter(pk__in=run_ids)._raw_delete(using)
    return len(run_ids), len(old) == BATCH or len(run_ids) < len(old)


def _as_many_as_fit(run_ids: list[str]) -> list[str]:
    """Return the first runs, at least one, whose steps are not too many for a transaction."""
    counts = dict(
        Step.objects.filter(run_id__in=run_ids).values_list("run_id").annotate(count=Count("id"))
    )
    room = BATCH_STEPS
    for index, run_id in enumerate(run_ids):
        room -= counts.get(run_id, 0)
        if room < 0 and index:
            return run_ids[:index]
    return run_ids


def _prune_events(limit: dt.datetime, **ids_between: str) -> tuple[int, bool]:
    using = transactions.connection().alias
    with transactions.write():
        event_ids = list(
            Event.objects.filter(received_at__lt=limit, routed_at__isnull=False, **ids_between)
            .filter(~Exists(Run.objects.filter(event_id=OuterRef("pk"))))
            .order_by("id")
            .select_for_update(skip_locked=True, of=("self",))
            .values_list("id", flat=True)[:BATCH]
        )
        Wait.objects.filter(matched_event_id__in=event_ids).update(matched_event=None)
        Event.objects.filter(pk__in=event_ids)._raw_delete(using)
    return len(event_ids), len(event_ids) == BATCH
