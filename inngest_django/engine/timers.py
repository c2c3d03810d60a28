"""Jobs that call no user code: sleeps, waits and invokes coming due."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

from inngest_django import signals
from inngest_django.engine import (
    crash_points,
    hot_path,
    matching,
    pieces,
    stamping,
    transactions,
    waits,
)
from inngest_django.engine.cancellation import close as cancel_run
from inngest_django.engine.hints import JobHint, execute_after_commit
from inngest_django.engine.hot_path import Leased, LockedRun
from inngest_django.errors import ErrorValue
from inngest_django.models import Job, Run, Step, Wait, WaitKind, WaitStatus
from inngest_django.serialization import dumps
from inngest_django.states import RUN_LIVE, JobKind, RunStatus, StepStatus

logger = logging.getLogger(__name__)


def work(job_id: int, token: int) -> None:
    """Do what a leased sleep, wait or invoke job is due for."""
    job = Job.objects.select_related("step").filter(pk=job_id, lease_token=token).first()
    if job is None or job.step is None:
        return
    action = _ACTIONS[JobKind(job.kind)]

    def settle() -> None:
        looked_at = None
        if job.kind == JobKind.WAIT:
            # Events that were committed before the expiry count, even when the router is
            # behind. It is decided as of now: what comes while this worker stalls has no
            # place yet. Stamped with each try: a server that died may have lost the places.
            looked_at = transactions.now()
            stamping.stamp()
        crash_points.reach("timer.start")
        with transactions.write() as cursor:
            run = hot_path.lock_run(cursor, job.run_id)
            if run is None or run.status not in RUN_LIVE:
                return
            if not hot_path.holds_lease(cursor, job_id, token):
                return
            if looked_at is not None:
                run = dataclasses.replace(run, now=min(run.now, looked_at))
            execute_after_commit(action(cursor, run, job))
            crash_points.reach("timer.written")

    transactions.retrying(settle)
    crash_points.reach("timer.committed")


def wake(leased: Leased) -> int | None:
    """End a leased sleep, in one round trip where that can be done.

    Returns:
        The job of the run's entry, for this task to go on with; None when there is none or
        its hint was published.
    """
    written = None
    if not signals.step_ended.has_listeners():  # They are told the name, which is not here.
        crash_points.reach("timer.start")
        written = transactions.retrying(lambda: _wake_at_once(leased))
    if written is None:
        work(leased.job_id, leased.token)
        return None
    crash_points.reach("timer.committed")
    return written[0]


def _wake_at_once(leased: Leased) -> tuple[int | None, int] | None:
    if not hot_path.can_exchange():
        return None
    return hot_path.settle_and_join(leased, status=StepStatus.COMPLETED, output=None, error=None)


def _settle_sleep(cursor: Any, run: LockedRun, job: Job) -> list[JobHint]:
    return _settle(cursor, run, job, status=StepStatus.COMPLETED)


def _settle_wait(cursor: Any, run: LockedRun, job: Job) -> list[JobHint]:
    wait = Wait.objects.get(step_id=job.step_id or 0, status=WaitStatus.OPEN)
    row = Run.objects.only("event_id", "event_ids").get(pk=run.id)
    event = waits.find_event(wait, own_ids=frozenset(row.event_ids or [row.event_id]))
    if event is not None:
        return matching.settle_match(
            cursor, run, wait=wait, event=event, job=job, step_name=_name(job)
        )
    if wait.expires_at <= run.now:
        pieces.close_waits([wait.pk], status=WaitStatus.TIMED_OUT, now=run.now)
        return _settle(cursor, run, job, status=StepStatus.TIMED_OUT)
    hot_path.reschedule(cursor, job.pk, available_at=wait.expires_at, now=run.now)
    if hot_path.is_soon(wait.expires_at, run.now):
        # The tick leaves such a job to its writer's hint for a while.
        delay = (wait.expires_at - run.now).total_seconds()
        return [JobHint(job.pk, job.function_id, max(0.0, delay))]
    return []


def _settle_invoke(cursor: Any, run: LockedRun, job: Job) -> list[JobHint]:
    # The job is locked by now, so a child that ends after this reading finds it again.
    child = Run.objects.filter(parent_id=job.step_id).order_by("-id").first()
    if child is not None and not child.is_live:
        if child.status == RunStatus.COMPLETED:
            return _settle(
                cursor, run, job, status=StepStatus.COMPLETED, output=dumps(child.output)
            )
        return _settle(cursor, run, job, status=StepStatus.FAILED, error=_child_error(child))
    error = ErrorValue(
        code="step_errored",
        name="InngestInvokeTimeoutError",
        message="Timed out waiting for invoked function to complete",
        stack=None,
    )
    return _settle(cursor, run, job, status=StepStatus.FAILED, error=error)


def _child_error(child: Run) -> ErrorValue:
    if child.status == RunStatus.FAILED and child.error:
        error: ErrorValue = child.error
        return error
    word = "cancelled" if child.status == RunStatus.CANCELLED else "skipped"
    return ErrorValue(
        code="step_errored",
        name="InvokedFunctionError",
        message=f"The invoked function was {word} (function {child.function_id}, run {child.id})",
        stack=None,
    )


def _settle(
    cursor: Any,
    run: LockedRun,
    job: Job,
    *,
    status: StepStatus,
    output: str | None = None,
    error: ErrorValue | None = None,
) -> list[JobHint]:
    return pieces.settle(
        cursor,
        run,
        function_id=job.function_id,
        step_id=job.step_id or 0,
        job_id=job.pk,
        name=_name(job),
        status=status,
        output=output,
        error=None if error is None else dumps(error),
    )


def _name(job: Job) -> str:
    step = job.step or Step.objects.only("name").get(pk=job.step_id or 0)
    return str(step.name)


_ACTIONS: dict[JobKind, Callable[[Any, LockedRun, Job], list[JobHint]]] = {
    JobKind.SLEEP: _settle_sleep,
    JobKind.WAIT: _settle_wait,
    JobKind.INVOKE: _settle_invoke,
}


def scan_rules(run_id: str) -> bool:
    """Compare a run's cancel rules with events that came before they were stored.

    Its first entry does so before the call: a cancelling event may be routed between the
    trigger and the insert of the rule. Returns whether the run is still live.
    """

    def scan() -> bool:
        # With each try, as in ``work``.
        stamping.stamp()
        with transactions.write() as cursor:
            run = hot_path.lock_run(cursor, run_id)
            if run is None or run.status not in RUN_LIVE:
                return False
            row = Run.objects.only("event_id", "event_ids").get(pk=run_id)
            own_ids = frozenset(row.event_ids or [row.event_id])
            for wait in Wait.objects.filter(
                run_id=run_id, kind=WaitKind.CANCEL, status=WaitStatus.OPEN
            ).order_by("id"):
                event = waits.find_event(wait, own_ids=own_ids)
                if event is not None:
                    execute_after_commit(cancel_run(run, reason=f"cancelled by event {event.name}"))
                    return False
            Run.objects.filter(pk=run_id).update(has_unscanned_rules=False)
            return True

    return transactions.retrying(scan)
