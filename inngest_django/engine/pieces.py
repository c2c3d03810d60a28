"""Outstanding pieces of a run: settling one, and the join that follows.

Every function here needs the run's lock, taken in an earlier statement.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from inngest_django import signals
from inngest_django.engine import hot_path, transactions
from inngest_django.engine.hints import JobHint
from inngest_django.engine.hot_path import LockedRun
from inngest_django.models import Job, Step, Wait, WaitKey, WaitStatus
from inngest_django.states import STEP_OPEN, JobKind, StepStatus


def settle(
    cursor: Any,
    run: LockedRun,
    *,
    function_id: str,
    step_id: int,
    job_id: int,
    name: str,
    status: StepStatus,
    output: str | None = None,
    error: str | None = None,
) -> list[JobHint]:
    """Record the result of an open step, and let the run enter when that was the last.

    Args:
        output: JSON text.
        error: JSON text of an ``ErrorValue``.

    Returns:
        The hint of the entry that follows, if one does.
    """
    revision = hot_path.bump(cursor, run.id)
    was_open = hot_path.settle_step(
        cursor,
        step_id,
        status=status,
        output=output,
        error=error,
        revision=revision,
        now=run.now,
    )
    if not was_open:
        raise AssertionError(f"step {step_id} of run {run.id} was settled under the lock")
    # Before the job goes: a race is also going on when this piece was its last.
    was_race = Step.objects.filter(pk=step_id, mode="race").exists()
    hot_path.delete_job(cursor, job_id)
    announce_step(run.id, function_id, step_id=step_id, name=name, status=status)
    if was_race or hot_path.must_enter(cursor, run.id):
        return enter(cursor, run, function_id=function_id)
    return []


def enter(
    cursor: Any, run: LockedRun, *, function_id: str, available_at: dt.datetime | None = None
) -> list[JobHint]:
    """Insert the run's ``enter`` job unless it has one; returns its hint."""
    job_id = hot_path.insert_job(
        cursor,
        run_id=run.id,
        function_id=function_id,
        kind=JobKind.ENTER,
        available_at=available_at or run.now,
        now=run.now,
    )
    if job_id is None:
        return []
    delay = 0.0 if available_at is None else (available_at - run.now).total_seconds()
    return [JobHint(job_id, function_id, max(0.0, delay))]


def close_all(run_id: str, *, now: dt.datetime) -> None:
    """Close what is still outstanding: steps, waits with their keys, jobs."""
    Step.objects.filter(run_id=run_id, status__in=STEP_OPEN).update(
        status=StepStatus.CANCELLED, ended_at=now
    )
    open_waits = list(
        Wait.objects.filter(run_id=run_id, status=WaitStatus.OPEN)
        .order_by("id")
        .values_list("id", flat=True)
    )
    if open_waits:
        close_waits(open_waits, status=WaitStatus.CANCELLED, now=now)
    jobs = list(
        Job.objects.filter(run_id=run_id)
        .order_by("id")
        .select_for_update()
        .values_list("id", flat=True)
    )
    if jobs:
        # _raw_delete: nothing refers to a job, so there is nothing to collect.
        Job.objects.filter(pk__in=jobs)._raw_delete(transactions.connection().alias)


def close_waits(wait_ids: Sequence[int], *, status: WaitStatus, now: dt.datetime) -> None:
    """Close waits and take their keys out of the index."""
    Wait.objects.filter(pk__in=wait_ids, status=WaitStatus.OPEN).update(
        status=status, closed_at=now
    )
    WaitKey.objects.filter(wait_id__in=wait_ids)._raw_delete(transactions.connection().alias)


def announce_step(
    run_id: str, function_id: str, *, step_id: int, name: str, status: StepStatus
) -> None:
    """Send ``step_ended`` once the transaction commits, when anybody listens."""
    if signals.step_ended.has_listeners():
        transactions.after_commit(
            lambda: _send_step_ended(run_id, function_id, step_id, name, status)
        )


def _send_step_ended(
    run_id: str, function_id: str, step_id: int, name: str, status: StepStatus
) -> None:
    signals.step_ended.send_robust(
        sender=Step,
        run_id=run_id,
        function_id=function_id,
        step_id=step_id,
        name=name,
        status=status,
    )
