"""Statuses, job kinds and the transitions between them.

The tables here are the only place that says which status may follow which; the guarded
updates in ``models`` and the diagram in the documentation are both made from them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeVar

_S = TypeVar("_S", bound=enum.StrEnum)


class RunStatus(enum.StrEnum):
    """Where a run stands."""

    QUEUED = "queued"  # Moved by its first entry, or by a cancel; a crash leaves its enter job.
    RUNNING = "running"  # Moved by an outcome or a cancel; sleeping and waiting runs stay here.
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"  # Never entered: a rule such as singleton refused it.


class StepStatus(enum.StrEnum):
    """Where a step stands."""

    PLANNED = "planned"  # Its job is due or backing off.
    RUNNING = "running"  # A worker holds its lease; a crash leaves it here until the next lease.
    WAITING = "waiting"  # A sleep, a wait or an invoke; its job is the time-out.
    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


class JobKind(enum.StrEnum):
    """What the worker does with a leased job."""

    ENTER = "enter"  # Call the function from the top.
    STEP = "step"  # Call the function to run one planned step's body.
    SLEEP = "sleep"  # Wake up at the time.
    WAIT = "wait"  # Scan for a matching event, or time out.
    INVOKE = "invoke"  # Look at the child, or time out.


class OpKind(enum.StrEnum):
    """What a call reports; the wire names of the Inngest protocol."""

    STEP_RUN = "StepRun"
    STEP_ERROR = "StepError"
    STEP_FAILED = "StepFailed"
    STEP_PLANNED = "StepPlanned"
    SLEEP = "Sleep"
    WAIT_FOR_EVENT = "WaitForEvent"
    INVOKE_FUNCTION = "InvokeFunction"


RUN_TRANSITIONS: Mapping[RunStatus, frozenset[RunStatus]] = {
    RunStatus.QUEUED: frozenset(
        {RunStatus.RUNNING, RunStatus.CANCELLED, RunStatus.FAILED, RunStatus.SKIPPED}
    ),
    RunStatus.RUNNING: frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED}),
    RunStatus.COMPLETED: frozenset(),
    RunStatus.FAILED: frozenset(),
    RunStatus.CANCELLED: frozenset(),
    RunStatus.SKIPPED: frozenset(),
}

STEP_TRANSITIONS: Mapping[StepStatus, frozenset[StepStatus]] = {
    StepStatus.PLANNED: frozenset(
        {StepStatus.RUNNING, StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.CANCELLED}
    ),
    StepStatus.RUNNING: frozenset(
        {StepStatus.PLANNED, StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.CANCELLED}
    ),
    StepStatus.WAITING: frozenset(
        {
            StepStatus.COMPLETED,
            StepStatus.FAILED,
            StepStatus.TIMED_OUT,
            StepStatus.CANCELLED,
        }
    ),
    StepStatus.COMPLETED: frozenset(),
    StepStatus.FAILED: frozenset(),
    StepStatus.TIMED_OUT: frozenset(),
    # The step's id went away from the code; if it comes back, it is planned afresh, or run
    # by the entry that meets it.
    StepStatus.CANCELLED: frozenset(
        {StepStatus.PLANNED, StepStatus.WAITING, StepStatus.COMPLETED, StepStatus.FAILED}
    ),
}

RUN_LIVE: frozenset[RunStatus] = frozenset(s for s, to in RUN_TRANSITIONS.items() if to)
RUN_ENDED: frozenset[RunStatus] = frozenset(RunStatus) - RUN_LIVE
STEP_SETTLED: frozenset[StepStatus] = frozenset(
    {StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.TIMED_OUT}
)
STEP_OPEN: frozenset[StepStatus] = frozenset(
    {StepStatus.PLANNED, StepStatus.RUNNING, StepStatus.WAITING}
)


def sources(table: Mapping[_S, frozenset[_S]], to: _S) -> frozenset[_S]:
    """Return the statuses from which ``to`` may be reached."""
    return frozenset(status for status, following in table.items() if to in following)
