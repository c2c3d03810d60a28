"""Pieces whose workers died: writing the loss down, and ending what keeps killing them."""

from __future__ import annotations

from inngest_django.engine import claims, pieces, transactions
from inngest_django.engine.hints import execute_after_commit
from inngest_django.engine.hot_path import Leased
from inngest_django.errors import ErrorValue
from inngest_django.models import Attempt, Step
from inngest_django.serialization import dumps
from inngest_django.states import JobKind, StepStatus


def end_piece(leased: Leased) -> None:
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
            claim = claims.take(cursor, leased, max_attempts=0)
            if claim is None:
                return
            if leased.kind is JobKind.STEP:
                step = Step.objects.only("name").get(pk=leased.step_id or 0)
                claim.hints += pieces.settle(
                    cursor,
                    claim.run,
                    function_id=leased.function_id,
                    step_id=leased.step_id or 0,
                    job_id=leased.job_id,
                    name=step.name,
                    status=StepStatus.FAILED,
                    error=dumps(error),
                )
            else:
                claims.fail_run(claim, error)
            execute_after_commit(claim.hints)

    transactions.retrying(work)


def record(leased: Leased) -> None:
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
