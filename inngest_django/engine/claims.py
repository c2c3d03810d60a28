"""The right to write an outcome: the run locked, then the job found under its token."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from typing import Any

from inngest_django import conf
from inngest_django.engine import hot_path, retries, runs
from inngest_django.engine.hints import JobHint
from inngest_django.engine.hot_path import Leased, LockedRun
from inngest_django.errors import ErrorValue
from inngest_django.models import Attempt
from inngest_django.models.fields import JSONText
from inngest_django.serialization import dumps
from inngest_django.states import RUN_LIVE, RunStatus

logger = logging.getLogger(__name__)


@dataclasses.dataclass(slots=True)
class Claim:
    """What one transaction collects while it writes."""

    cursor: Any
    run: LockedRun
    leased: Leased
    max_attempts: int
    hints: list[JobHint] = dataclasses.field(default_factory=list)
    own_jobs: list[tuple[int, int]] = dataclasses.field(default_factory=list)


def take(cursor: Any, leased: Leased, *, max_attempts: int) -> Claim | None:
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
    return Claim(cursor, run, leased, max_attempts)


def fail_run(claim: Claim, error: ErrorValue, *, is_quiet: bool = False) -> None:
    """End the run as failed."""
    if not is_quiet:
        logger.error(
            "run failed",
            extra={
                "run_id": claim.run.id,
                "function_id": claim.leased.function_id,
                "error_name": error["name"],
            },
        )
    claim.hints += runs.end(
        claim.run,
        status=RunStatus.FAILED,
        error=error,
        reason=f"{error['name']}: {error['message']}"[:500],
    )


def retry_delay(claim: Claim, *, retry_at: dt.datetime | None) -> dt.timedelta | None:
    """Return how long to wait before the next attempt, or None to give up."""
    settings = conf.get()
    delay = retries.next_delay(
        claim.leased.attempt,
        max_attempts=claim.max_attempts,
        backoff=settings.RETRY_BACKOFF,
        jitter=settings.RETRY_JITTER,
    )
    if delay is None or retry_at is None:
        return delay
    return retries.clamp_retry_after(retry_at - claim.run.now)


def record_attempt(
    claim: Claim,
    *,
    step_id: int | None,
    error: ErrorValue,
    started_at: dt.datetime | None,
) -> None:
    """Write down a failed try, of a step or of the function's own code."""
    Attempt.objects.create(
        run_id=claim.run.id,
        step_id=step_id,
        number=claim.leased.attempt,
        error=JSONText(dumps(error)),
        started_at=started_at,
        ended_at=claim.run.now,
    )


def hint_if_soon(claim: Claim, job_id: int, delay: dt.timedelta) -> list[JobHint]:
    """Return the hint of a job that is due soon; later ones are the tick's."""
    now = claim.run.now
    if not hot_path.is_soon(now + delay, now):
        return []
    return [JobHint(job_id, claim.leased.function_id, max(0.0, delay.total_seconds()))]
