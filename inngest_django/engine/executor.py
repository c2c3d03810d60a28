"""One task's work: lease a job, do it, report, and leave hints for what follows."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import time
from collections.abc import Callable
from typing import Any

from django.db import connections
from django.utils import timezone

from inngest_django import conf, ids, signals
from inngest_django.drivers.base import (
    CallRequest,
    CallResponse,
    Discovered,
    Driver,
    Op,
    Returned,
)
from inngest_django.drivers.in_process import InProcessDriver
from inngest_django.engine import (
    bodies,
    checkpoints,
    claims,
    crash_points,
    endings,
    hints,
    hot_path,
    leases,
    losses,
    memo_cache,
    outcomes,
    retries,
    timers,
    transactions,
)
from inngest_django.engine.hints import JobHint, execute_after_commit
from inngest_django.engine.hot_path import Leased
from inngest_django.engine.leases import Lease
from inngest_django.errors import LeaseLostError, StepInAtomicError
from inngest_django.functions import registry
from inngest_django.functions.function import Function
from inngest_django.models import Event, Run
from inngest_django.models.events import payload_of
from inngest_django.serialization import loads
from inngest_django.states import STEP_OPEN, JobKind, OpKind, RunStatus

logger = logging.getLogger(__name__)

UNKNOWN_FUNCTION_DELAY = dt.timedelta(seconds=5)
# Losses after which an entry fails its run: the first one only makes it plan instead of run,
# so what keeps dying is the function's own code between its steps.
_MAX_ENTRY_LOSSES = 5
_USER_CODE = (JobKind.ENTER, JobKind.STEP)
# A job refused because it is due within this many seconds is hinted again.
_SOON = 2.0

driver: Driver = InProcessDriver()
# Whether this process's last job was a planned step's: its siblings come next.
_expects_step = False


def execute(job_id: int, *, goes_on: bool = False, plans_only: bool = False) -> None:
    """Do a job if it is due and free; otherwise do nothing, quietly.

    Args:
        goes_on: Do the entry after a step as well, where the run is expected to end with it.
        plans_only: Start no new body: what an entry finds is left to the next task.
    """
    global _expects_step
    ttl = conf.get().LEASE_TTL.total_seconds()
    token = ids.new_token()
    crash_points.reach("execute.start")
    asked_at = time.monotonic()
    leased = transactions.retrying(
        lambda: hot_path.lease(
            job_id,
            token=token,
            owner=leases.owner(),
            ttl=ttl,
            is_draining=leases.is_draining(),
            known=registry.ids(),
            expects_step=_expects_step,
        )
    )
    if leased is None:
        _hint_if_early(job_id)
        return
    _expects_step = leased.kind is JobKind.STEP
    crash_points.reach("lease.taken")
    report = outcomes.Report(was_written=False)
    woken_id = None
    with leases.holding(job_id, token, leased_at=asked_at, ttl=ttl) as lease:
        if leased.kind in _USER_CODE:
            report = _call(leased, lease, goes_on=goes_on, plans_only=plans_only)
        elif leased.kind is JobKind.SLEEP:
            woken_id = timers.wake(leased)
        else:
            timers.work(leased.job_id, leased.token)
    for own_id, own_token in report.own_jobs:
        timers.work(own_id, own_token)
    if woken_id is not None:
        # A sleep ran nobody's code, so this is still one new step body for the task.
        _go_on(woken_id, leased.function_id, goes_on=goes_on)
    elif report.entry_id is not None:
        _go_on(report.entry_id, leased.function_id, plans_only=True)


def _go_on(job_id: int, function_id: str, **how: bool) -> None:
    """Do the entry that follows under a lease of its own: a message less."""
    if leases.is_draining():
        hints.execute([JobHint(job_id, function_id)])
    else:
        execute(job_id, **how)


def _hint_if_early(job_id: int) -> None:
    due = hot_path.due_in(job_id)
    if due is not None and 0 < due[1] < _SOON:
        hints.execute([JobHint(job_id, due[0], due[1])])


def _call(leased: Leased, lease: Lease, *, goes_on: bool, plans_only: bool) -> outcomes.Report:
    nothing = outcomes.Report(was_written=False)
    function = registry.get(leased.function_id)
    if function is None:
        _release_unknown(leased)
        return nothing
    if not _is_ready(leased, function):
        return nothing
    steps = memo_cache.steps_of(leased)
    target = _target(leased, steps)
    if leased.kind is JobKind.STEP and target is None:
        logger.warning("job without an open step", extra={"job_id": leased.job_id})
        return nothing
    recorder = checkpoints.Recorder(leased, lease, function)
    request = _request(leased, lease, steps, function, target=target)
    if plans_only:
        request = dataclasses.replace(request, plan_only=True)
    elif recorder.is_wanted():
        request = dataclasses.replace(request, record=recorder.record)
    crash_points.reach("call.start")
    lease.lend()
    try:
        response = driver.call(function, request)
    except LeaseLostError:
        logger.warning(
            "call given up: the lease was lost",
            extra={"run_id": leased.run_id, "job_id": leased.job_id},
        )
        return nothing
    finally:
        lease.take_back()
    crash_points.reach("call.end")
    if not isinstance(response, Discovered):
        memo_cache.forget(leased.run_id)
    return outcomes.report(
        recorder.leased,
        response,
        max_attempts=function.max_attempts,
        # Of a checkpointed call the steps that it recorded are not among those it was given.
        goes_on=not recorder.is_on and _note_progress(leased, steps, response) and goes_on,
    )


def _note_progress(leased: Leased, steps: memo_cache.Steps, response: CallResponse) -> bool:
    """Note how far the run has come; returns whether it probably ends after this step."""
    count, function_id = len(steps.memos), leased.function_id
    if leased.kind is JobKind.STEP:
        return endings.is_expected(function_id, count + len(steps.rest))
    if leased.has_open_pieces:
        return False
    if isinstance(response, Returned):
        endings.note_end(function_id, count)
    elif isinstance(response, Discovered):
        endings.note_more(function_id, count)
        return endings.is_expected(function_id, count + len(response.ops))
    return False


def _is_ready(leased: Leased, function: Function) -> bool:
    """Do what comes before a call; False when that was all there was to do."""
    if leased.was_lost:
        losses.record(leased)
    if _is_lost_for_good(leased, function):
        losses.end_piece(leased)
        return False
    if leased.run_status is RunStatus.QUEUED:
        if not leased.has_begun and not hot_path.begin_run(leased.run_id):
            return False
        if signals.run_started.has_listeners():
            signals.run_started.send_robust(
                sender=Run, run_id=leased.run_id, function_id=leased.function_id
            )
    return not leased.has_unscanned_rules or timers.scan_rules(leased.run_id)


def _is_lost_for_good(leased: Leased, function: Function) -> bool:
    if leased.kind is JobKind.ENTER:
        return leased.loss_count >= _MAX_ENTRY_LOSSES
    return retries.is_lost_for_good(
        attempt=leased.attempt,
        max_attempts=function.max_attempts,
        loss_count=leased.loss_count,
    )


def _release_unknown(leased: Leased) -> None:
    """Give a job back whose function this worker does not know: a deploy in progress."""
    logger.warning("function unknown to this worker", extra={"function_id": leased.function_id})

    def work() -> None:
        with transactions.write() as cursor:
            run = hot_path.lock_run(cursor, leased.run_id)
            if run is None or not hot_path.holds_lease(cursor, leased.job_id, leased.token):
                return
            hot_path.reschedule(
                cursor,
                leased.job_id,
                available_at=run.now + UNKNOWN_FUNCTION_DELAY,
                now=run.now,
                note=f"waits for a worker that knows function {leased.function_id}",
            )

    transactions.retrying(work)


def _target(leased: Leased, steps: memo_cache.Steps) -> str | None:
    if leased.kind is not JobKind.STEP or leased.step_id is None:
        return None
    row = steps.rest.get(leased.step_id)
    return row.hashed_id if row is not None and row.status in STEP_OPEN else None


def _request(
    leased: Leased,
    lease: Lease,
    steps: memo_cache.Steps,
    function: Function,
    *,
    target: str | None,
) -> CallRequest:
    events = _events(leased)
    return CallRequest(
        run_id=leased.run_id,
        attempt=min(leased.attempt, function.max_attempts - 1),
        max_attempts=function.max_attempts,
        event=events[0],
        events=events,
        memos=steps.memos,
        pending=steps.open,
        target=target,
        plan_only=leased.kind is JobKind.ENTER
        and (leased.has_open_pieces or leased.loss_count > 0),
        job_id=str(leased.job_id),
        request_id=f"{leased.token:x}",
        step_limit=conf.get().MAX_STEPS,
        time_zone=timezone.get_default_timezone(),
        may_start_body=lease.is_alive,
        transact=_transactor(leased, lease, function),
        guard=_guard(),
    )


def _events(leased: Leased) -> tuple[dict[str, Any], ...]:
    if leased.event_ids and len(leased.event_ids) > 1:
        found = Event.objects.in_bulk(leased.event_ids)
        return tuple(found[event_id].payload() for event_id in leased.event_ids)
    event = leased.event
    return (
        payload_of(
            id_=event.external_id or event.id,
            name=event.name,
            data=None if event.data is None else loads(event.data),
            user=None if event.user is None else loads(event.user),
            ts=event.ts,
            version=event.version,
        ),
    )


def _transactor(
    leased: Leased, lease: Lease, function: Function
) -> Callable[[Callable[[], Op]], Op]:
    """Return what runs a ``step.transaction`` body: its writes and its result, or neither."""

    def transact(body: Callable[[], Op]) -> Op:
        lease.take_back()
        try:
            return written(body)
        finally:
            lease.lend()

    def written(body: Callable[[], Op]) -> Op:
        with transactions.write() as cursor:
            lease.lend()
            op = body()
            lease.take_back()
            crash_points.reach("transaction.body_done")
            if transactions.is_postgresql():
                # A deferred constraint that fails at the commit would look like a lost
                # answer; forced here, it is the body's failure like any other. SQLite
                # would read the whole database for that, and has no answer to lose.
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
            if op.kind is not OpKind.STEP_RUN:
                raise AssertionError("a transaction body reports its result only")
            claim = claims.take(cursor, leased, max_attempts=function.max_attempts)
            if claim is None:
                raise LeaseLostError("the lease was lost while the step's body ran")
            bodies.write_body(claim, op)
            execute_after_commit(claim.hints)
        crash_points.reach("transaction.committed")
        return dataclasses.replace(op, is_recorded=True)

    return transact


def _guard() -> Callable[[], None]:
    """Return a check that user code has not opened a transaction of its own since now.

    The connections are looked up here because an async function runs in another thread.
    """
    held = [(c, c.in_atomic_block, len(c.savepoint_ids)) for c in connections.all()]

    def guard() -> None:
        for connection, was_inside, depth in held:
            if connection.in_atomic_block != was_inside or len(connection.savepoint_ids) > depth:
                raise StepInAtomicError(
                    "A step was called inside a transaction.atomic() block of database"
                    f" {connection.alias!r}. The block would be rolled back at every entry."
                    " Put the writes into step.transaction(id, fn), or the block inside"
                    " a step's body."
                )

    return guard
