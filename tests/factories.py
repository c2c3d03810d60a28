"""Rows in a state that is named; nothing here goes through the engine.

Times are relative to ``NOW``, the moment the module was loaded, so that "a minute ago" is in
the past of the database's clock too.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from inngest_django import clock, ids
from inngest_django.models import Attempt, Event, Function, Job, Pulse, Run, Schedule, Step, Wait
from inngest_django.states import JobKind, OpKind, RunStatus, StepStatus

NOW = clock.now()
ERROR = {
    "code": "unknown",
    "name": "ValueError",
    "message": "card declined",
    "stack": "Traceback (most recent call last):\n  shop.py line 7\nValueError: card declined",
}


def ago(seconds: float) -> dt.datetime:
    """A moment before the tests began."""
    return NOW - dt.timedelta(seconds=seconds)


def event(name: str = "shop/order.paid", **values: Any) -> Event:
    """A routed event."""
    defaults: dict[str, Any] = {
        "id": ids.new_ulid(),
        "data": {"order": 7},
        "ts": int(NOW.timestamp() * 1000),
        "received_at": ago(60),
        "routed_at": ago(59),
        "seq": Event.objects.count() + 1,
    }
    return Event.objects.create(name=name, **{**defaults, **values})


def unrouted_event(**values: Any) -> Event:
    """An event that nobody routed yet."""
    return event(**{"routed_at": None, "seq": None, **values})


def run(status: RunStatus = RunStatus.COMPLETED, **values: Any) -> Run:
    """A run, without steps and jobs."""
    is_ended = status in (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)
    defaults: dict[str, Any] = {
        "id": ids.new_ulid(),
        "function_id": "shop-fulfil",
        "queued_at": ago(60),
        "started_at": None if status == RunStatus.QUEUED else ago(59),
        "ended_at": ago(10) if is_ended else None,
    }
    if "event" not in values:
        values["event"] = event()
    return Run.objects.create(status=status, **{**defaults, **values})


def queued_run(**values: Any) -> Run:
    """A run whose entry is due."""
    row = run(RunStatus.QUEUED, **values)
    job(row, available_at=ago(60))
    return row


def running_run(**values: Any) -> Run:
    """A run that is being entered by a worker."""
    row = run(RunStatus.RUNNING, **values)
    leased_job(row)
    return row


def completed_run(**values: Any) -> Run:
    """A run that ended well, with one step."""
    row = run(RunStatus.COMPLETED, **{"output": {"total": 3}, **values})
    step(row, "charge", output={"ok": True})
    return row


def failed_run(**values: Any) -> Run:
    """A run whose step failed twice and for good."""
    row = run(RunStatus.FAILED, **{"error": ERROR, **values})
    failed = step(row, "charge", StepStatus.FAILED, error=ERROR, attempt_count=2)
    for number in range(2):
        attempt(row, failed, number=number)
    return row


def sleeping_run(**values: Any) -> Run:
    """A run that sleeps for another hour."""
    row = run(RunStatus.RUNNING, **values)
    nap = step(row, "nap", StepStatus.WAITING, op=OpKind.SLEEP, input={"duration_ms": 3_600_000})
    job(row, step=nap, kind=JobKind.SLEEP, available_at=ago(-3600))
    return row


def waiting_run(event_name: str = "shop/order.shipped", **values: Any) -> Run:
    """A run that waits for an event."""
    row = run(RunStatus.RUNNING, **values)
    waiting = step(
        row,
        "wait-for-parcel",
        StepStatus.WAITING,
        op=OpKind.WAIT_FOR_EVENT,
        input={"event": event_name, "if": "event.data.order == async.data.order"},
    )
    wait(row, step=waiting, event_name=event_name)
    job(row, step=waiting, kind=JobKind.WAIT, available_at=ago(-3600))
    return row


def step(
    row: Run, name: str = "charge", status: StepStatus = StepStatus.COMPLETED, **values: Any
) -> Step:
    """A step of a run."""
    index = values.pop("index", 0)
    is_ended = status in (StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.TIMED_OUT)
    defaults: dict[str, Any] = {
        "attempt_count": 1,
        "started_at": None if status == StepStatus.PLANNED else ago(50),
        "ended_at": ago(40) if is_ended else None,
    }
    return Step.objects.create(
        run=row,
        hashed_id=ids.hash_step_id(name, index),
        name=name,
        index=index,
        status=status,
        **{**defaults, **values},
    )


def attempt(row: Run, of: Step | None = None, **values: Any) -> Attempt:
    """A failed attempt of a step, or of the function's own code."""
    number = values.get("number", 0)
    defaults: dict[str, Any] = {
        "number": 0,
        "error": ERROR,
        "started_at": ago(50 - 4 * number),
        "ended_at": ago(48 - 4 * number),
    }
    return Attempt.objects.create(run=row, step=of, **{**defaults, **values})


def job(row: Run, **values: Any) -> Job:
    """A job of a run; its entry unless said otherwise."""
    due = values.setdefault("available_at", ago(1))
    defaults: dict[str, Any] = {
        "kind": JobKind.ENTER,
        "function_id": row.function_id,
        "next_hint_at": due,
    }
    return Job.objects.create(run=row, **{**defaults, **values})


def leased_job(row: Run, **values: Any) -> Job:
    """A job that a worker holds for another while."""
    defaults = {
        "lease_token": ids.new_token(),
        "leased_until": ago(-600),
        "lease_owner": "host:1",
        "next_hint_at": ago(-600),
    }
    return job(row, **{**defaults, **values})


def wait(row: Run, **values: Any) -> Wait:
    """An open wait."""
    defaults: dict[str, Any] = {
        "event_name": "shop/order.shipped",
        "expression": "event.data.order == async.data.order",
        "constants": {"event.data.order": 7},
        "floor_seq": 0,
        "created_at": ago(40),
        "expires_at": ago(-3600),
    }
    return Wait.objects.create(run=row, **{**defaults, **values})


def function(function_id: str = "shop-fulfil", **values: Any) -> Function:
    """A registered function."""
    defaults: dict[str, Any] = {
        "name": "Fulfil an order",
        "config": {
            "id": function_id,
            "name": "Fulfil an order",
            "triggers": [{"event": "shop/order.paid", "expression": "event.data.order > 0"}],
            "steps": {"step": {"retries": {"attempts": 4}}},
            "concurrency": [{"limit": 3}],
        },
        "registered_at": ago(100),
    }
    return Function.objects.create(id=function_id, **{**defaults, **values})


def schedule(function_id: str = "shop-fulfil", **values: Any) -> Schedule:
    """A schedule that a living process declared, due in an hour."""
    # By the clock of now: a process that said so minutes ago is taken for dead.
    now = clock.now()
    next_at = values.pop("next_at", now + dt.timedelta(hours=1))
    defaults: dict[str, Any] = {
        "cron": "0 * * * *",
        "next_at": next_at,
        "fires_at": next_at,
        "registered_at": now - dt.timedelta(seconds=10),
    }
    return Schedule.objects.create(function_id=function_id, **{**defaults, **values})


def pulse(seconds_ago: float = 0.0) -> Pulse:
    """A tick that ran so many seconds ago."""
    ticked_at = clock.now() - dt.timedelta(seconds=seconds_ago)
    row, _ = Pulse.objects.update_or_create(id=1, defaults={"ticked_at": ticked_at})
    return row
