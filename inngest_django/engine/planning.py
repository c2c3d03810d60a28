"""Recording a plan: the steps that an entry discovered, with a job for each."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Any

from inngest_django import conf, ids
from inngest_django.drivers.base import Op
from inngest_django.durations import MAX_HORIZON
from inngest_django.engine import hot_path, ingest, leases, runs, waits
from inngest_django.engine.hints import JobHint
from inngest_django.engine.hot_path import Leased, LockedRun
from inngest_django.errors import ErrorValue, InngestError, error_value
from inngest_django.functions import registry
from inngest_django.models import Event, Function, Run, Step, WaitKind
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
    for op in fresh:
        _WRITERS[op.kind](cursor, run, leased, op, plan)
        if plan.error is not None:
            break
    return plan


def plan_row(
    run: LockedRun,
    op: Op,
    *,
    status: StepStatus,
    op_kind: OpKind,
    input_: Any = None,
    attempt_count: int = 0,
    started_at: dt.datetime | None = None,
) -> Step:
    """Insert an open step, or open one again whose id had gone from the code."""
    step, _ = Step.objects.update_or_create(
        run_id=run.id,
        hashed_id=op.hashed_id,
        defaults={
            "name": op.name,
            "index": op.index,
            "op": op_kind,
            "status": status,
            "mode": op.mode,
            "input": input_,
            "started_at": started_at,
            "ended_at": None,
        },
        create_defaults={
            "name": op.name,
            "index": op.index,
            "op": op_kind,
            "status": status,
            "mode": op.mode,
            "input": input_,
            "attempt_count": attempt_count,
            "started_at": started_at,
        },
    )
    return step


def _job(
    cursor: Any,
    run: LockedRun,
    leased: Leased,
    plan: Plan,
    *,
    step: Step,
    kind: JobKind,
    available_at: dt.datetime,
) -> None:
    job_id = hot_path.insert_job(
        cursor,
        run_id=run.id,
        step_id=step.pk,
        function_id=leased.function_id,
        kind=kind,
        available_at=available_at,
        now=run.now,
    )
    plan.has_pieces = True
    if job_id is not None and hot_path.is_soon(available_at, run.now):
        delay = max(0.0, (available_at - run.now).total_seconds())
        plan.hints.append(JobHint(job_id, leased.function_id, delay))


def _write_planned(cursor: Any, run: LockedRun, leased: Leased, op: Op, plan: Plan) -> None:
    step = plan_row(run, op, status=StepStatus.PLANNED, op_kind=OpKind.STEP_RUN, input_=op.input)
    _job(cursor, run, leased, plan, step=step, kind=JobKind.STEP, available_at=run.now)


def _write_sleep(cursor: Any, run: LockedRun, leased: Leased, op: Op, plan: Plan) -> None:
    if "until" in op.opts:
        until = dt.datetime.fromisoformat(op.opts["until"])
    else:
        until = run.now + dt.timedelta(milliseconds=op.opts["duration_ms"])
    step = plan_row(
        run,
        op,
        status=StepStatus.WAITING,
        op_kind=OpKind.SLEEP,
        input_={"until": until.astimezone(dt.UTC).isoformat()},
        attempt_count=0,
        started_at=run.now,
    )
    _job(
        cursor, run, leased, plan, step=step, kind=JobKind.SLEEP,
        available_at=max(until, run.now),
    )  # fmt: skip


def _write_wait(cursor: Any, run: LockedRun, leased: Leased, op: Op, plan: Plan) -> None:
    opts = op.opts
    expires_at = run.now + dt.timedelta(milliseconds=opts["timeout_ms"])
    row = Run.objects.select_related("event").get(pk=run.id)
    step = plan_row(
        run,
        op,
        status=StepStatus.WAITING,
        op_kind=OpKind.WAIT_FOR_EVENT,
        input_={
            "event": opts["event"],
            "if": opts.get("if"),
            "expires_at": expires_at.isoformat(),
        },
        started_at=run.now,
    )
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
            expires_at=expires_at,
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
    plan.has_pieces = True
    if job_id is not None:
        plan.own_jobs.append((job_id, token))


def _write_invoke(cursor: Any, run: LockedRun, leased: Leased, op: Op, plan: Plan) -> None:
    opts = op.opts
    target = opts["function_id"]
    input_ = {"function_id": target, "data": opts.get("data")}
    function = registry.get(target)
    known = Function.objects.filter(pk=target).values_list("config", flat=True).first()
    if function is None and known is None:
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
                input=dumps(input_),
                output=None,
                error=dumps(error),
                attempt_count=0,
                started_at=run.now,
            ),
            revision=hot_path.bump(cursor, run.id),
            now=run.now,
        )
        plan.settled += 1
        return
    timeout = opts.get("timeout_ms")
    life = MAX_HORIZON if timeout is None else dt.timedelta(milliseconds=timeout)
    step = plan_row(
        run,
        op,
        status=StepStatus.WAITING,
        op_kind=OpKind.INVOKE_FUNCTION,
        input_={**input_, "expires_at": (run.now + life).isoformat()},
        started_at=run.now,
    )
    config = function.config() if function is not None else known
    floor = waits.current_floor(cursor)
    plan.hints += runs.start(
        [
            runs.Start(
                run_id=ids.new_ulid(),
                function_id=target,
                event=_invoked_event(
                    run, leased, op, target=target, expires_at=run.now + life, floor_seq=floor
                ),
                floor_seq=floor,
                available_at=run.now,
                cancel_rules=(config or {}).get("cancel") or (),
                parent_id=step.pk,
            )
        ],
        now=run.now,
    )
    _job(cursor, run, leased, plan, step=step, kind=JobKind.INVOKE, available_at=run.now + life)


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


_WRITERS = {
    OpKind.STEP_PLANNED: _write_planned,
    OpKind.SLEEP: _write_sleep,
    OpKind.WAIT_FOR_EVENT: _write_wait,
    OpKind.INVOKE_FUNCTION: _write_invoke,
}
