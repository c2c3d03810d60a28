"""Recording a plan: the steps that an entry discovered, with a job for each."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import F

from inngest_django import conf, ids
from inngest_django.drivers.base import Op
from inngest_django.durations import MAX_HORIZON
from inngest_django.engine import hot_path, ingest, leases, runs, waits
from inngest_django.engine.hints import JobHint, execute_after_commit
from inngest_django.engine.hot_path import Leased, LockedRun
from inngest_django.errors import ErrorValue, InngestError, error_value
from inngest_django.functions import registry
from inngest_django.models import Event, Function, Job, Run, Step, WaitKind
from inngest_django.serialization import dumps
from inngest_django.states import JobKind, OpKind, StepStatus


@dataclasses.dataclass(slots=True)
class Plan:
    """What was recorded.

    Attributes:
        settled: How many steps were over at once (an invoke of an unknown function).
        error: Set when the run cannot go on, for example an expression that is no CEL.
    """

    hints: list[JobHint] = dataclasses.field(default_factory=list)
    own_jobs: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    has_pieces: bool = False
    settled: int = 0
    error: ErrorValue | None = None


def write_at_once(leased: Leased, ops: Sequence[Op]) -> bool:
    """Record a group of nothing but new bodies in one round trip; False to write it whole."""
    if any(op.kind is not OpKind.STEP_PLANNED for op in ops):
        return False
    job_ids = hot_path.record_plan(
        leased,
        [
            (
                op.hashed_id,
                op.name,
                op.index,
                op.mode,
                None if op.input is None else dumps(op.input),
            )
            for op in ops
        ],
    )
    if job_ids is None:
        return False
    execute_after_commit([JobHint(job_id, leased.function_id) for job_id in job_ids])
    return True


def write(cursor: Any, run: LockedRun, leased: Leased, ops: Sequence[Op]) -> Plan:
    """Record a plan whole, under the run's lock; steps that have a row are left alone."""
    plan = Plan()
    existing = {
        row.hashed_id: row
        for row in Step.objects.filter(
            run_id=run.id, hashed_id__in=[op.hashed_id for op in ops]
        ).only("id", "hashed_id", "status")
    }
    fresh = []
    for op in ops:
        row = existing.get(op.hashed_id)
        if row is None or row.status == StepStatus.CANCELLED:
            fresh.append(op)
        else:
            plan.has_pieces = plan.has_pieces or row.is_open
    fresh = _without_unknown_targets(cursor, run, fresh, plan)
    steps = _write_steps(run, fresh, existing)
    _write_jobs(run, leased, steps, plan)
    for step, op in steps:
        if op.kind is OpKind.WAIT_FOR_EVENT:
            _write_wait(cursor, run, leased, step, op, plan)
        elif op.kind is OpKind.INVOKE_FUNCTION:
            _write_invoke(cursor, run, leased, step, op, plan)
        if plan.error is not None:
            break
    return plan


def plan_retry(run: LockedRun, op: Op) -> Step:
    """Insert the step of a body that failed in the entry that found it, to be tried again."""
    planned = dataclasses.replace(op, kind=OpKind.STEP_PLANNED)
    existing = {
        row.hashed_id: row for row in Step.objects.filter(run_id=run.id, hashed_id=op.hashed_id)
    }
    [(step, _)] = _write_steps(run, [planned], existing)
    Step.objects.filter(pk=step.pk).update(
        attempt_count=F("attempt_count") + 1, started_at=op.started_at or run.now
    )
    return step


def _write_steps(
    run: LockedRun, ops: Sequence[Op], existing: Mapping[str, Step]
) -> list[tuple[Step, Op]]:
    """Insert the rows of new steps, and open those again whose id had gone from the code."""
    steps = [(_row(run, op), op) for op in ops]
    for step, op in steps:
        before = existing.get(op.hashed_id)
        if before is not None:
            step.pk = before.pk
            Step.objects.filter(pk=before.pk).update(
                op=step.op,
                status=step.status,
                mode=step.mode,
                input=step.input,
                started_at=step.started_at,
                ended_at=None,
            )
    Step.objects.bulk_create([step for step, _ in steps if step.pk is None])
    return steps


def _row(run: LockedRun, op: Op) -> Step:
    step = Step(
        run_id=run.id,
        hashed_id=op.hashed_id,
        name=op.name,
        index=op.index,
        mode=op.mode,
        op=OpKind.STEP_RUN if op.kind is OpKind.STEP_PLANNED else op.kind,
        status=StepStatus.WAITING,
        started_at=run.now,
    )
    opts = op.opts
    if op.kind is OpKind.STEP_PLANNED:
        step.status, step.started_at, step.input = StepStatus.PLANNED, None, op.input
    elif op.kind is OpKind.SLEEP:
        step.input = {"until": _wake_at(run, op).astimezone(dt.UTC).isoformat()}
    elif op.kind is OpKind.WAIT_FOR_EVENT:
        step.input = {
            "event": opts["event"],
            "if": opts.get("if"),
            "expires_at": (run.now + _life(op)).isoformat(),
        }
    else:
        step.input = {
            "function_id": opts["function_id"],
            "data": opts.get("data"),
            "expires_at": (run.now + _life(op)).isoformat(),
        }
    return step


def _wake_at(run: LockedRun, op: Op) -> dt.datetime:
    if "until" in op.opts:
        return dt.datetime.fromisoformat(op.opts["until"])
    return run.now + dt.timedelta(milliseconds=op.opts["duration_ms"])


def _life(op: Op) -> dt.timedelta:
    timeout = op.opts.get("timeout_ms")
    return MAX_HORIZON if timeout is None else dt.timedelta(milliseconds=timeout)


def _write_jobs(
    run: LockedRun, leased: Leased, steps: Sequence[tuple[Step, Op]], plan: Plan
) -> None:
    """Insert the jobs of bodies, sleeps and invokes; a wait's is leased at once."""
    jobs = []
    for step, op in steps:
        if op.kind is OpKind.STEP_PLANNED:
            kind, at = JobKind.STEP, run.now
        elif op.kind is OpKind.SLEEP:
            kind, at = JobKind.SLEEP, max(_wake_at(run, op), run.now)
        elif op.kind is OpKind.INVOKE_FUNCTION:
            kind, at = JobKind.INVOKE, run.now + _life(op)
        else:
            continue
        jobs.append(
            Job(
                run_id=run.id,
                step=step,
                kind=kind,
                function_id=leased.function_id,
                available_at=at,
                next_hint_at=hot_path.first_hint_at(at, run.now),
            )
        )
    plan.has_pieces = plan.has_pieces or bool(steps)
    for job in Job.objects.bulk_create(jobs):
        if hot_path.is_soon(job.available_at, run.now):
            delay = max(0.0, (job.available_at - run.now).total_seconds())
            plan.hints.append(JobHint(job.pk, leased.function_id, delay))


def _write_wait(
    cursor: Any, run: LockedRun, leased: Leased, step: Step, op: Op, plan: Plan
) -> None:
    opts = op.opts
    row = Run.objects.select_related("event").get(pk=run.id)
    try:
        waits.open_wait(
            run_id=run.id,
            step_id=step.pk,
            kind=WaitKind.EVENT,
            event_name=opts["event"],
            expression=opts.get("if") or "",
            payload=row.event.payload(),
            floor_seq=waits.lookback_floor(
                row, lookback=opts.get("lookback"), now=run.now, floor_seq=run.floor_seq
            ),
            expires_at=run.now + _life(op),
            now=run.now,
        )
    except InngestError as error:
        plan.error = error_value(error)
        return
    # Due now: the wait still has to look at the events that came before it. This worker
    # does it right after the commit; if it dies in between, the job is found by the tick.
    token = ids.new_token()
    job_id = hot_path.insert_job(
        cursor,
        run_id=run.id,
        step_id=step.pk,
        function_id=leased.function_id,
        kind=JobKind.WAIT,
        available_at=run.now,
        now=run.now,
        token=token,
        owner=leases.owner(),
        leased_until=run.now + conf.get().LEASE_TTL,
    )
    if job_id is not None:
        plan.own_jobs.append((job_id, token))


def _without_unknown_targets(
    cursor: Any, run: LockedRun, ops: Sequence[Op], plan: Plan
) -> list[Op]:
    """Fail the invokes of functions that nobody knows; returns the other ops."""
    known = []
    for op in ops:
        target = str(op.opts.get("function_id"))
        if (
            op.kind is not OpKind.INVOKE_FUNCTION
            or registry.get(target) is not None
            or Function.objects.filter(pk=target).exists()
        ):
            known.append(op)
            continue
        error = ErrorValue(
            code="function_not_found",
            name="Error",
            message=f"could not find function with ID: {target}",
            stack=None,
        )
        hot_path.insert_settled_step(
            cursor,
            run.id,
            hot_path.NewStep(
                hashed_id=op.hashed_id,
                name=op.name,
                index=op.index,
                op=OpKind.INVOKE_FUNCTION,
                status=StepStatus.FAILED,
                input=dumps({"function_id": target, "data": op.opts.get("data")}),
                output=None,
                error=dumps(error),
                attempt_count=0,
                started_at=run.now,
            ),
            revision=hot_path.bump(cursor, run.id),
            now=run.now,
        )
        plan.settled += 1
    return known


def _write_invoke(
    cursor: Any, run: LockedRun, leased: Leased, step: Step, op: Op, plan: Plan
) -> None:
    target = op.opts["function_id"]
    function = registry.get(target)
    config = (
        Function.objects.values_list("config", flat=True).get(pk=target)
        if function is None
        else function.config()
    )
    floor = waits.current_floor(cursor)
    event = _invoked_event(
        run, leased, op, target=target, expires_at=run.now + _life(op), floor_seq=floor
    )
    plan.hints += runs.start(
        [
            runs.Start(
                run_id=ids.new_ulid(),
                function_id=target,
                event=event,
                floor_seq=floor,
                available_at=run.now,
                cancel_rules=config.get("cancel") or (),
                parent_id=step.pk,
            )
        ],
        now=run.now,
    )


def _invoked_event(
    run: LockedRun,
    leased: Leased,
    op: Op,
    *,
    target: str,
    expires_at: dt.datetime,
    floor_seq: int,
) -> Event:
    data = dict(op.opts.get("data") or {})
    data["_inngest"] = {
        "fn_id": target,
        "source_fn_id": leased.function_id,
        "source_fn_v": leased.function_version,
        "correlation_id": f"{run.id}.{op.hashed_id}",
        "gid": op.hashed_id,
        "name": op.name,
        "expire": int(expires_at.timestamp() * 1000),
    }
    event = Event(
        id=ids.new_ulid(),
        name=ingest.INVOKED,
        data=data,
        ts=int(run.now.timestamp() * 1000),
        received_at=run.now,
        # Addressed to one function: it starts nothing else and needs no routing. Its place
        # in the order is where the child's waits begin.
        routed_at=run.now,
        seq=floor_seq,
    )
    Event.objects.bulk_create([event])
    return event
