"""Writing down what a call reported: one outcome, one transaction, under its lease token."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from typing import Any

from inngest_django import conf
from inngest_django.drivers.base import CallResponse, Discovered, Op, Raised, Returned
from inngest_django.engine import (
    crash_points,
    hot_path,
    pieces,
    planning,
    retries,
    runs,
    transactions,
)
from inngest_django.engine.hints import JobHint, execute_after_commit
from inngest_django.engine.hot_path import Leased, LockedRun, NewStep
from inngest_django.errors import ErrorValue
from inngest_django.models import Attempt, Job, Step
from inngest_django.models.fields import JSONText
from inngest_django.serialization import dumps
from inngest_django.states import RUN_LIVE, JobKind, OpKind, RunStatus, StepStatus

logger = logging.getLogger(__name__)

# How often a step's call may fail to meet the step before the run fails.
_MAX_MISSES = 5
_BODY_OPS = (OpKind.STEP_RUN, OpKind.STEP_ERROR, OpKind.STEP_FAILED)


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What was written.

    Attributes:
        was_written: False when the lease or the run was gone.
        own_jobs: Jobs (id, token) left leased for this worker to go on with: new waits that
            still have to look at what came before them.
    """

    was_written: bool
    own_jobs: tuple[tuple[int, int], ...] = ()


@dataclasses.dataclass(slots=True)
class Outcome:
    """What one transaction collects while it writes."""

    cursor: Any
    run: LockedRun
    leased: Leased
    max_attempts: int
    hints: list[JobHint] = dataclasses.field(default_factory=list)
    own_jobs: list[tuple[int, int]] = dataclasses.field(default_factory=list)


def report(leased: Leased, response: CallResponse, *, max_attempts: int) -> Report:
    """Write what a call reported, or nothing when another worker took the job over."""
    if isinstance(response, Discovered) and any(op.is_recorded for op in response.ops):
        return Report(was_written=True)

    def work() -> Report:
        if hot_path.can_exchange() and _exchange(leased, response):
            return Report(was_written=True)
        with transactions.write() as cursor:
            outcome = begin(cursor, leased, max_attempts=max_attempts)
            if outcome is None:
                return Report(was_written=False)
            crash_points.reach("outcome.locked")
            _write(outcome, response)
            crash_points.reach("outcome.written")
            execute_after_commit(outcome.hints)
            return Report(was_written=True, own_jobs=tuple(outcome.own_jobs))

    written = transactions.retrying(work)
    crash_points.reach("outcome.committed")
    return written


def _exchange(leased: Leased, response: CallResponse) -> bool:
    """Write one of the commonest outcomes in one round trip; False to write it the long way.

    The long way also finds out what is the matter when the lease or the run is gone.
    """
    if leased.kind is not JobKind.ENTER or leased.has_open_pieces:
        return False
    if isinstance(response, Returned):
        return (
            leased.parent_id is None
            and not leased.has_open_waits
            and runs.complete_at_once(leased, output=response.output)
        )
    if not isinstance(response, Discovered) or len(response.ops) != 1:
        return False
    op = response.ops[0]
    if op.kind is not OpKind.STEP_RUN:
        return False
    step = new_step(op, status=StepStatus.COMPLETED)
    written = hot_path.record_and_enter(leased, step)
    if written is None:
        return False
    job_id, step_id, revision = written
    memo_cache.add(leased.run_id, step, step_id=step_id, revision=revision)
    pieces.announce_step(
        leased.run_id,
        leased.function_id,
        step_id=step_id,
        name=op.name,
        status=StepStatus.COMPLETED,
    )
    execute_after_commit([JobHint(job_id, leased.function_id)])
    return True


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
    memo_cache.add(leased.run_id, step, step_id=written[1], revision=written[0])
    pieces.announce_step(
        leased.run_id,
        leased.function_id,
        step_id=written[1],
        name=op.name,
        status=StepStatus.COMPLETED,
    )
    return written[0]


def begin(cursor: Any, leased: Leased, *, max_attempts: int) -> Outcome | None:
    """Lock the run, then the job by its token; None when this worker may not write."""
    run = hot_path.lock_run(cursor, leased.run_id)
    if run is None or run.status not in RUN_LIVE:
        logger.info("outcome dropped: the run has ended", extra={"run_id": leased.run_id})
        return None
    if not hot_path.holds_lease(cursor, leased.job_id, leased.token):
        logger.warning(
            "outcome refused: the lease was lost",
            extra={"run_id": leased.run_id, "job_id": leased.job_id},
        )
        return None
    return Outcome(cursor, run, leased, max_attempts)


def _write(outcome: Outcome, response: CallResponse) -> None:
    if isinstance(response, Returned):
        outcome.hints += runs.end(outcome.run, status=RunStatus.COMPLETED, output=response.output)
    elif isinstance(response, Raised):
        _write_raised(outcome, response)
    elif response.target_missing:
        _write_missing(outcome, response)
    elif outcome.leased.kind is JobKind.STEP:
        _write_target(outcome, response)
    elif len(response.ops) == 1 and response.ops[0].kind in _BODY_OPS:
        write_body(outcome, response.ops[0])
    else:
        _write_plan(outcome, response.ops)


# -------------------------------------------------------------------------------- step bodies


def _write_target(outcome: Outcome, response: Discovered) -> None:
    op = next((op for op in response.ops if op.kind in _BODY_OPS), None)
    if op is None:
        # It met only steps that are still open: it was planned by an older view of the run.
        _write_missing(outcome, response)
        return
    write_body(outcome, op)


def write_body(outcome: Outcome, op: Op) -> None:
    """Record a body's result, or its failed try."""
    if op.kind is OpKind.STEP_RUN:
        _settle_body(outcome, op, status=StepStatus.COMPLETED)
        return
    error = op.error or ErrorValue(code="unknown", name="Error", message="", stack=None)
    delay = None
    if op.kind is OpKind.STEP_ERROR and op.is_retriable:
        delay = _delay(outcome, retry_at=op.retry_at)
    if delay is None:
        step_id = _settle_body(outcome, op, status=StepStatus.FAILED)
    else:
        step_id = _retry_body(outcome, op, delay=delay)
    _record_attempt(outcome, step_id=step_id, error=error, started_at=op.started_at)


def _settle_body(outcome: Outcome, op: Op, *, status: StepStatus) -> int:
    leased, run = outcome.leased, outcome.run
    if leased.kind is JobKind.STEP:
        if op.input is not None:
            Step.objects.filter(pk=leased.step_id, input__isnull=True).update(input=op.input)
        outcome.hints += pieces.settle(
            outcome.cursor,
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
        outcome.cursor,
        run.id,
        new_step(op, status=status),
        revision=hot_path.bump(outcome.cursor, run.id),
        now=run.now,
    )
    hot_path.delete_job(outcome.cursor, leased.job_id)
    outcome.hints += pieces.enter(outcome.cursor, run, function_id=leased.function_id)
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


def _retry_body(outcome: Outcome, op: Op, *, delay: dt.timedelta) -> int:
    leased, run, cursor = outcome.leased, outcome.run, outcome.cursor
    at = run.now + delay
    if leased.kind is JobKind.STEP:
        Step.objects.filter(pk=leased.step_id).update(status=StepStatus.PLANNED)
        hot_path.reschedule(
            cursor, leased.job_id, available_at=at, now=run.now, attempt=leased.attempt + 1
        )
        outcome.hints += _hint(outcome, leased.job_id, delay)
        return leased.step_id or 0
    # The step gets a job and attempts of its own; the entry is done.
    step = planning.plan_row(
        run,
        op,
        status=StepStatus.PLANNED,
        op_kind=OpKind.STEP_RUN,
        input_=op.input,
        attempt_count=1,
        started_at=op.started_at or run.now,
    )
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
    outcome.hints += _hint(outcome, job_id or 0, delay)
    return int(step.pk)


def _write_missing(outcome: Outcome, response: Discovered) -> None:
    """The call did not meet the step it was to run."""
    leased, run = outcome.leased, outcome.run
    step = Step.objects.get(pk=leased.step_id)
    if response.met is not None and (step.mode or step.attempt_count > _MAX_MISSES):
        _fail(
            outcome,
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
    Step.objects.filter(pk=step.pk).update(status=StepStatus.CANCELLED, ended_at=run.now)
    hot_path.bump(outcome.cursor, run.id)
    hot_path.delete_job(outcome.cursor, leased.job_id)
    if step.mode == "race" or hot_path.must_enter(outcome.cursor, run.id):
        outcome.hints += pieces.enter(outcome.cursor, run, function_id=leased.function_id)


# --------------------------------------------------------------------------------------- plans


def _write_plan(outcome: Outcome, ops: tuple[Op, ...]) -> None:
    leased, run, cursor = outcome.leased, outcome.run, outcome.cursor
    plan = planning.write(cursor, run, leased, ops)
    outcome.hints += plan.hints
    outcome.own_jobs += plan.own_jobs
    if plan.error is not None:
        _fail(outcome, plan.error)
        return
    if plan.settled or run.revision != leased.revision:
        # Something was settled while this entry looked at older results: look again.
        hot_path.reschedule(cursor, leased.job_id, available_at=run.now, now=run.now, attempt=0)
        outcome.hints.append(JobHint(leased.job_id, leased.function_id))
        return
    hot_path.delete_job(cursor, leased.job_id)
    # Not must_enter: in a race that also holds while other branches are still open.
    if not plan.has_pieces and not Job.objects.filter(run_id=run.id).exists():
        _fail(
            outcome,
            ErrorValue(
                code="no_progress",
                name="NoProgressError",
                message="The function ended its call without a new step although none is open."
                " Steps must be called the same way on every entry.",
                stack=None,
            ),
        )


# ------------------------------------------------------------------------------------ failures


def _write_raised(outcome: Outcome, response: Raised) -> None:
    leased, run = outcome.leased, outcome.run
    delay = _delay(outcome, retry_at=response.retry_at) if response.is_retriable else None
    _record_attempt(outcome, step_id=None, error=response.error, started_at=leased.now)
    if delay is None:
        _fail(outcome, response.error, is_quiet=response.is_quiet)
        return
    if leased.kind is JobKind.STEP:
        Step.objects.filter(pk=leased.step_id).update(status=StepStatus.PLANNED)
    hot_path.reschedule(
        outcome.cursor,
        leased.job_id,
        available_at=run.now + delay,
        now=run.now,
        attempt=leased.attempt + 1,
    )
    outcome.hints += _hint(outcome, leased.job_id, delay)


def _fail(outcome: Outcome, error: ErrorValue, *, is_quiet: bool = False) -> None:
    if not is_quiet:
        logger.error(
            "run failed",
            extra={
                "run_id": outcome.run.id,
                "function_id": outcome.leased.function_id,
                "error_name": error["name"],
            },
        )
    outcome.hints += runs.end(
        outcome.run,
        status=RunStatus.FAILED,
        error=error,
        reason=f"{error['name']}: {error['message']}"[:500],
    )


def fail_lost(leased: Leased) -> None:
    """End a piece whose workers died again and again: its step, or the run for an entry."""
    error = ErrorValue(
        code="worker_lost",
        name="WorkerLostError",
        message=f"{leased.loss_count} workers died or hung while they ran it."
        " Look for memory, time limits or a crash in its code.",
        stack=None,
    )

    def work() -> None:
        with transactions.write() as cursor:
            outcome = begin(cursor, leased, max_attempts=0)
            if outcome is None:
                return
            if leased.kind is JobKind.STEP:
                step = Step.objects.only("name").get(pk=leased.step_id)
                outcome.hints += pieces.settle(
                    cursor,
                    outcome.run,
                    function_id=leased.function_id,
                    step_id=leased.step_id or 0,
                    job_id=leased.job_id,
                    name=step.name,
                    status=StepStatus.FAILED,
                    error=dumps(error),
                )
            else:
                _fail(outcome, error)
            execute_after_commit(outcome.hints)

    transactions.retrying(work)


def record_loss(leased: Leased) -> None:
    """Write down the try whose worker died, for people."""
    with transactions.write():
        Attempt.objects.create(
            run_id=leased.run_id,
            step_id=leased.step_id,
            number=max(0, leased.attempt - 1) if leased.kind is JobKind.STEP else leased.attempt,
            error=ErrorValue(
                code="worker_lost",
                name="WorkerLostError",
                message="The worker died, hung, or lost the database while it ran this.",
                stack=None,
            ),
            ended_at=leased.now,
        )


def _delay(outcome: Outcome, *, retry_at: dt.datetime | None) -> dt.timedelta | None:
    settings = conf.get()
    delay = retries.next_delay(
        outcome.leased.attempt,
        max_attempts=outcome.max_attempts,
        backoff=settings.RETRY_BACKOFF,
        jitter=settings.RETRY_JITTER,
    )
    if delay is None or retry_at is None:
        return delay
    return retries.clamp_retry_after(retry_at - outcome.run.now)


def _record_attempt(
    outcome: Outcome,
    *,
    step_id: int | None,
    error: ErrorValue,
    started_at: dt.datetime | None,
) -> None:
    Attempt.objects.create(
        run_id=outcome.run.id,
        step_id=step_id,
        number=outcome.leased.attempt,
        error=JSONText(dumps(error)),
        started_at=started_at,
        ended_at=outcome.run.now,
    )


def _hint(outcome: Outcome, job_id: int, delay: dt.timedelta) -> list[JobHint]:
    now = outcome.run.now
    if not hot_path.is_soon(now + delay, now):
        return []
    return [JobHint(job_id, outcome.leased.function_id, max(0.0, delay.total_seconds()))]
