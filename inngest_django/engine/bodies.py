"""Step bodies: recording what one returned, or how it failed."""

from __future__ import annotations

import datetime as dt

from inngest_django.drivers.base import Discovered, Op
from inngest_django.engine import (
    claims,
    crash_points,
    hot_path,
    memo_cache,
    pieces,
    planning,
    transactions,
)
from inngest_django.engine.claims import Claim
from inngest_django.engine.hot_path import Leased, NewStep
from inngest_django.errors import ErrorValue
from inngest_django.models import Step
from inngest_django.serialization import dumps
from inngest_django.states import RUN_LIVE, STEP_OPEN, JobKind, OpKind, StepStatus

# How often a step's call may fail to meet the step before the run fails.
_MAX_MISSES = 5
BODY_OPS = (OpKind.STEP_RUN, OpKind.STEP_ERROR, OpKind.STEP_FAILED)


def write_target(claim: Claim, response: Discovered) -> None:
    """Record what became of the one step that a call was to run."""
    op = next((op for op in response.ops if op.kind in BODY_OPS), None)
    if op is None:
        # It met only steps that are still open: it was planned by an older view of the run.
        write_missing(claim, response)
        return
    write_body(claim, op)


def write_body(claim: Claim, op: Op) -> None:
    """Record a body's result, or its failed try."""
    if op.kind is OpKind.STEP_RUN:
        _settle_body(claim, op, status=StepStatus.COMPLETED)
        return
    error = op.error or ErrorValue(code="unknown", name="Error", message="", stack=None)
    delay = None
    if op.kind is OpKind.STEP_ERROR and op.is_retriable:
        delay = claims.retry_delay(claim, retry_at=op.retry_at)
    if delay is None:
        step_id = _settle_body(claim, op, status=StepStatus.FAILED)
    else:
        step_id = _retry_body(claim, op, delay=delay)
    claims.record_attempt(claim, step_id=step_id, error=error, started_at=op.started_at)


def _settle_body(claim: Claim, op: Op, *, status: StepStatus) -> int:
    leased, run = claim.leased, claim.run
    if leased.kind is JobKind.STEP:
        if op.input is not None:
            Step.objects.filter(pk=leased.step_id or 0, input__isnull=True).update(input=op.input)
        claim.hints += pieces.settle(
            claim.cursor,
            run,
            function_id=leased.function_id,
            step_id=leased.step_id or 0,
            job_id=leased.job_id,
            name=op.name,
            status=status,
            output=op.output if status is StepStatus.COMPLETED else None,
            error=None if status is StepStatus.COMPLETED else dumps(op.error),
        )
        return leased.step_id or 0
    step_id = hot_path.insert_settled_step(
        claim.cursor,
        run.id,
        new_step(op, status=status),
        revision=hot_path.bump(claim.cursor, run.id),
        now=run.now,
    )
    hot_path.delete_job(claim.cursor, leased.job_id)
    claim.hints += pieces.enter(claim.cursor, run, function_id=leased.function_id)
    pieces.announce_step(run.id, leased.function_id, step_id=step_id, name=op.name, status=status)
    return step_id


def new_step(op: Op, *, status: StepStatus) -> NewStep:
    """Return the row of a step that was found and settled in one entry."""
    is_completed = status is StepStatus.COMPLETED
    return NewStep(
        hashed_id=op.hashed_id,
        name=op.name,
        index=op.index,
        op=OpKind.STEP_RUN,
        status=status,
        input=None if op.input is None else dumps(op.input),
        output=op.output if is_completed else None,
        error=None if is_completed else dumps(op.error),
        attempt_count=1,
        started_at=op.started_at,
    )


def _retry_body(claim: Claim, op: Op, *, delay: dt.timedelta) -> int:
    leased, run, cursor = claim.leased, claim.run, claim.cursor
    at = run.now + delay
    if leased.kind is JobKind.STEP:
        plan_again(leased)
        hot_path.reschedule(
            cursor, leased.job_id, available_at=at, now=run.now, attempt=leased.attempt + 1
        )
        claim.hints += claims.hint_if_soon(claim, leased.job_id, delay)
        return leased.step_id or 0
    # The step gets a job and attempts of its own; the entry is done.
    step = planning.plan_retry(run, op)
    hot_path.delete_job(cursor, leased.job_id)
    job_id = hot_path.insert_job(
        cursor,
        run_id=run.id,
        step_id=step.pk,
        function_id=leased.function_id,
        kind=JobKind.STEP,
        available_at=at,
        now=run.now,
        attempt=leased.attempt + 1,
    )
    claim.hints += claims.hint_if_soon(claim, job_id or 0, delay)
    return int(step.pk)


def plan_again(leased: Leased) -> None:
    """Show that a step's body waits for its next try."""
    Step.objects.filter(pk=leased.step_id or 0, status=StepStatus.RUNNING).update(
        status=StepStatus.PLANNED
    )


def write_missing(claim: Claim, response: Discovered) -> None:
    """The call did not meet the step it was to run."""
    leased, run = claim.leased, claim.run
    step = Step.objects.get(pk=leased.step_id or 0)
    if response.met is not None and (step.mode or step.attempt_count > _MAX_MISSES):
        claims.fail_run(
            claim,
            ErrorValue(
                code="step_unexpected",
                name="StepUnexpectedError",
                message=f'found step "{response.met}" when targeting a different step',
                stack=None,
            ),
        )
        return
    # The step is gone from the code (a deploy) or stands behind a new one: what the function
    # does now is found by a fresh entry, which plans the step again when it meets it.
    Step.objects.filter(pk=step.pk, status__in=STEP_OPEN).update(
        status=StepStatus.CANCELLED, ended_at=run.now
    )
    hot_path.bump(claim.cursor, run.id)
    hot_path.delete_job(claim.cursor, leased.job_id)
    if step.mode == "race" or hot_path.must_enter(claim.cursor, run.id):
        claim.hints += pieces.enter(claim.cursor, run, function_id=leased.function_id)


# --------------------------------------------------------------------------------------- plans


def checkpoint(leased: Leased, op: Op, *, ttl: dt.timedelta) -> int | None:
    """Record a body's result and keep the lease for the next body.

    Returns:
        The run's new revision, or None when this worker may not write any more.
    """
    step = new_step(op, status=StepStatus.COMPLETED)

    def work() -> tuple[int, int] | None:
        if hot_path.can_exchange():
            return hot_path.record_and_go_on(leased, step, ttl=ttl.total_seconds())
        with transactions.write() as cursor:
            run = hot_path.lock_run(cursor, leased.run_id)
            if run is None or run.status not in RUN_LIVE:
                return None
            if not hot_path.keep_lease(
                cursor, leased.job_id, leased.token, leased_until=run.now + ttl
            ):
                return None
            revision = hot_path.bump(cursor, run.id)
            return revision, hot_path.insert_settled_step(
                cursor, run.id, step, revision=revision, now=run.now
            )

    crash_points.reach("checkpoint.start")
    written = transactions.retrying(work)
    crash_points.reach("checkpoint.committed")
    if written is None:
        return None
    memo_cache.add(leased.run_id, step, revision=written[0])
    pieces.announce_step(
        leased.run_id,
        leased.function_id,
        step_id=written[1],
        name=op.name,
        status=StepStatus.COMPLETED,
    )
    return written[0]
