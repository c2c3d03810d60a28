"""Deleting what is over and old, in small batches and without ORM cascades."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable

from django.db.models import Exists, OuterRef

from inngest_django import clock, conf, ids
from inngest_django.engine import transactions
from inngest_django.models import (
    Attempt,
    Event,
    IdempotencyKey,
    Job,
    Run,
    Step,
    Wait,
    WaitKey,
)
from inngest_django.states import RUN_ENDED, RUN_LIVE

BATCH = 500
_MAX_BATCHES = 100


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PruneReport:
    """How many rows went."""

    runs: int
    events: int
    idempotency_keys: int


def prune(*, before: dt.datetime | None = None) -> PruneReport:
    """Delete runs that ended, and events received, before a moment.

    Args:
        before: Default: ``INNGEST["RETENTION"]`` ago; with RETENTION None nothing but expired
            idempotency keys goes.

    Events of runs that are kept stay, and so do events that were not routed yet. Runs whose
    parent lives stay, because the parent may still read their result.
    """
    retention = conf.get().RETENTION
    limit = before or (clock.now() - retention if retention is not None else None)
    keys = _prune_keys()
    if limit is None:
        return PruneReport(runs=0, events=0, idempotency_keys=keys)
    runs = _in_batches(lambda: _prune_runs(limit))
    events = _in_batches(lambda: _prune_events(limit))
    return PruneReport(runs=runs, events=events, idempotency_keys=keys)


def _in_batches(prune_batch: Callable[[], int]) -> int:
    total = 0
    for _ in range(_MAX_BATCHES):
        count = transactions.retrying(prune_batch)
        total += count
        if count < BATCH:
            break
    return total


def _prune_keys() -> int:
    with transactions.write() as cursor:
        cursor.execute(
            f"DELETE FROM {IdempotencyKey._meta.db_table} WHERE expires_at < {transactions.now_sql()}"
        )
        return int(cursor.rowcount)


def _prune_runs(limit: dt.datetime) -> int:
    using = transactions.connection().alias
    with transactions.write():
        run_ids = list(
            # A ULID sorts by time: the oldest come first, without an index on ended_at.
            Run.objects.filter(
                pk__lt=ids.first_ulid_of(limit), status__in=RUN_ENDED, ended_at__lt=limit
            )
            .exclude(parent__run__status__in=RUN_LIVE)
            .order_by("id")
            .values_list("id", flat=True)[:BATCH]
        )
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
        return len(run_ids)


def _prune_events(limit: dt.datetime) -> int:
    using = transactions.connection().alias
    with transactions.write():
        event_ids = list(
            Event.objects.filter(received_at__lt=limit, routed_at__isnull=False)
            .filter(~Exists(Run.objects.filter(event_id=OuterRef("pk"))))
            .order_by("id")
            .values_list("id", flat=True)[:BATCH]
        )
        Wait.objects.filter(matched_event_id__in=event_ids).update(matched_event=None)
        Event.objects.filter(pk__in=event_ids)._raw_delete(using)
        return len(event_ids)
