"""Writing down what a call reported: one outcome, one transaction, under its lease token."""

from __future__ import annotations

import dataclasses

from inngest_django.drivers.base import CallResponse, Discovered, Op, Raised, Returned
from inngest_django.engine import (
    bodies,
    claims,
    crash_points,
    hot_path,
    memo_cache,
    pieces,
    planning,
    runs,
    transactions,
)
from inngest_django.engine.claims import Claim
from inngest_django.engine.hints import JobHint, execute_after_commit
from inngest_django.engine.hot_path import Leased
from inngest_django.errors import ErrorValue
from inngest_django.models import Job
from inngest_django.states import JobKind, OpKind, RunStatus, StepStatus


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What was written.

    Attributes:
        was_written: False when the lease or the run was gone.
        own_jobs: Jobs (id, token) left leased for this worker to go on with: new waits that
            still have to look at what came before them.
        entry_id: The job of the run's entry, when it is the caller's to do.
    """

    was_written: bool
    own_jobs: tuple[tuple[int, int], ...] = ()
    entry_id: int | None = None


def report(
    leased: Leased, response: CallResponse, *, max_attempts: int, goes_on: bool = False
) -> Report:
    """Write what a call reported, or nothing when another worker took the job over.

    Args:
        goes_on: The caller will do the entry that follows a step, if there is one now: where
            that can be done, no hint is published for it.
    """
    if isinstance(response, Discovered) and any(op.is_recorded for op in response.ops):
        return Report(was_written=True)

    def work() -> Report:
        if hot_path.can_exchange():
            at_once = _exchange(leased, response, goes_on=goes_on)
            if at_once is not None:
                return at_once
        with transactions.write() as cursor:
            claim = claims.take(cursor, leased, max_attempts=max_attempts)
            if claim is None:
                return Report(was_written=False)
            crash_points.reach("outcome.locked")
            _write(claim, response)
            crash_points.reach("outcome.written")
            execute_after_commit(claim.hints)
            return Report(was_written=True, own_jobs=tuple(claim.own_jobs))

    written = transactions.retrying(work)
    crash_points.reach("outcome.committed")
    return written


def _exchange(leased: Leased, response: CallResponse, *, goes_on: bool) -> Report | None:
    """Write one of the commonest outcomes in one round trip; None to write it the long way.

    The long way also finds out what is the matter when the lease or the run is gone.
    """
    if leased.kind is JobKind.STEP:
        return _exchange_target(leased, response, goes_on=goes_on)
    if leased.has_open_pieces:
        return None
    if isinstance(response, Returned):
        is_written = (
            leased.parent_id is None
            and not leased.has_open_waits
            and runs.complete_at_once(leased, output=response.output)
        )
        return Report(was_written=True) if is_written else None
    if not isinstance(response, Discovered) or not response.ops:
        return None
    op = response.ops[0]
    if len(response.ops) > 1 or op.kind is not OpKind.STEP_RUN:
        is_written = planning.write_at_once(leased, response.ops)
        return Report(was_written=True) if is_written else None
    step = bodies.new_step(op, status=StepStatus.COMPLETED)
    written = hot_path.record_and_enter(leased, step)
    if written is None:
        return None
    job_id, step_id, revision = written
    memo_cache.add(leased.run_id, step, revision=revision)
    pieces.announce_step(
        leased.run_id,
        leased.function_id,
        step_id=step_id,
        name=op.name,
        status=StepStatus.COMPLETED,
    )
    return _entered(leased, job_id, goes_on=goes_on)


def _exchange_target(leased: Leased, response: CallResponse, *, goes_on: bool) -> Report | None:
    if not isinstance(response, Discovered) or response.target_missing or len(response.ops) != 1:
        return None
    op = response.ops[0]
    if op.kind is not OpKind.STEP_RUN or leased.step_id is None:
        return None
    written = hot_path.settle_and_join(
        leased, status=StepStatus.COMPLETED, output=op.output, error=None
    )
    if written is None:
        return None
    job_id = written[0]
    pieces.announce_step(
        leased.run_id,
        leased.function_id,
        step_id=leased.step_id,
        name=op.name,
        status=StepStatus.COMPLETED,
    )
    return _entered(leased, job_id, goes_on=goes_on)


def _entered(leased: Leased, job_id: int | None, *, goes_on: bool) -> Report:
    if job_id is not None and not goes_on:
        execute_after_commit([JobHint(job_id, leased.function_id)])
    return Report(was_written=True, entry_id=job_id if goes_on else None)


def _write(claim: Claim, response: CallResponse) -> None:
    if isinstance(response, Returned):
        claim.hints += runs.end(claim.run, status=RunStatus.COMPLETED, output=response.output)
    elif isinstance(response, Raised):
        _write_raised(claim, response)
    elif response.target_missing:
        bodies.write_missing(claim, response)
    elif claim.leased.kind is JobKind.STEP:
        bodies.write_target(claim, response)
    elif len(response.ops) == 1 and response.ops[0].kind in bodies.BODY_OPS:
        bodies.write_body(claim, response.ops[0])
    else:
        _write_plan(claim, response.ops)


# -------------------------------------------------------------------------------- step bodies


def _write_plan(claim: Claim, ops: tuple[Op, ...]) -> None:
    leased, run, cursor = claim.leased, claim.run, claim.cursor
    plan = planning.write(cursor, run, leased, ops)
    claim.hints += plan.hints
    claim.own_jobs += plan.own_jobs
    if plan.error is not None:
        claims.fail_run(claim, plan.error)
        return
    if plan.settled or run.revision != leased.revision:
        # Something was settled while this entry looked at older results: look again.
        hot_path.reschedule(cursor, leased.job_id, available_at=run.now, now=run.now, attempt=0)
        claim.hints.append(JobHint(leased.job_id, leased.function_id))
        return
    hot_path.delete_job(cursor, leased.job_id)
    # Not must_enter: in a race that also holds while other branches are still open.
    if not plan.has_pieces and not Job.objects.filter(run_id=run.id).exists():
        claims.fail_run(
            claim,
            ErrorValue(
                code="no_progress",
                name="NoProgressError",
                message="The function ended its call without a new step although none is open."
                " Steps must be called the same way on every entry.",
                stack=None,
            ),
        )


# ------------------------------------------------------------------------------------ failures


def _write_raised(claim: Claim, response: Raised) -> None:
    leased, run = claim.leased, claim.run
    delay = claims.retry_delay(claim, retry_at=response.retry_at) if response.is_retriable else None
    claims.record_attempt(claim, step_id=None, error=response.error, started_at=leased.now)
    if delay is None:
        claims.fail_run(claim, response.error, is_quiet=response.is_quiet)
        return
    if leased.kind is JobKind.STEP:
        bodies.plan_again(leased)
    hot_path.reschedule(
        claim.cursor,
        leased.job_id,
        available_at=run.now + delay,
        now=run.now,
        attempt=leased.attempt + 1,
    )
    claim.hints += claims.hint_if_soon(claim, leased.job_id, delay)
