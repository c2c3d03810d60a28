"""The values between the engine and whatever calls a function.

A driver turns a ``CallRequest`` into a ``CallResponse`` and depends on nothing else, so that
the same engine can drive functions in this process, in another one, or in a simulation.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from inngest_django.errors import ErrorValue
from inngest_django.states import OpKind

SINGLE_MODE = ""  # Outside any parallel group.
WAIT_MODE = "wait"
RACE_MODE = "race"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StepMemo:
    """A settled step.

    Attributes:
        value: The decoded result (None for a sleep, a time-out, or a failure). For a matched
            wait, the event as a dict.
        error: Set exactly when the step failed for good.
        revision: Position in the order in which the run's steps were settled.
    """

    hashed_id: str
    op: OpKind
    value: Any = None
    error: ErrorValue | None = None
    revision: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Op:
    """One thing that a call reports about one step.

    Attributes:
        mode: Of the innermost parallel group the step stands in, or ``SINGLE_MODE``.
        output: JSON text of a ``StepRun``'s result.
        error: Of a ``StepError`` (may be retried) or ``StepFailed`` (final).
        is_retriable, retry_at: Of a ``StepError``.
        opts: By kind. Sleep: ``{"duration_ms": int}`` or ``{"until": aware ISO text}``.
            WaitForEvent: ``{"event", "timeout_ms", "if": str | None,
            "lookback": None | "run" | int ms}``.
            InvokeFunction: ``{"function_id", "data", "timeout_ms": int | None}``.
            StepPlanned: ``{"input": list | None, "transaction": bool}``.
        input: JSON-able arguments, as far as they are; for people.
        is_recorded: The engine already stored it, in the body's own transaction.
        started_at: Host time at which the body began; only shown.
    """

    kind: OpKind
    hashed_id: str
    name: str
    index: int = 0
    mode: str = SINGLE_MODE
    output: str | None = None
    error: ErrorValue | None = None
    is_retriable: bool = True
    retry_at: dt.datetime | None = None
    opts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    input: Any = None
    is_recorded: bool = False
    started_at: dt.datetime | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CallRequest:
    """Everything a call may depend on.

    Attributes:
        memos: Settled steps by hashed id, in the order of their revisions.
        pending: Hashed ids of steps that have a row and no result; never planned or run again
            (except the target).
        target: The hashed id of the one step to run, or None to discover.
        plan_only: Report new bodies as ``StepPlanned`` instead of running one.
        may_start_body: Asked right before each body; False means the lease is lost and the
            call must end by raising ``LeaseLostError`` out of ``Driver.call``.
        transact: Runs a ``step.transaction`` body and stores its op in one database
            transaction. Takes a callable that runs the body and returns its ``StepRun`` op;
            returns that op marked ``is_recorded``. Whatever the body raises comes through.
        record: Stores a finished op and lets the call go on (checkpointing), or None.
            Returns the memo to continue with, or None to unwind now.
        guard: Raises ``StepInAtomicError`` when a step is called inside the author's own
            transaction block.
    """

    run_id: str
    attempt: int
    max_attempts: int
    event: Mapping[str, Any]
    events: tuple[Mapping[str, Any], ...]
    memos: dict[str, StepMemo]
    pending: frozenset[str] = frozenset()
    target: str | None = None
    plan_only: bool = False
    job_id: str | None = None
    request_id: str | None = None
    step_limit: int = 1000
    time_zone: dt.tzinfo = dt.UTC
    may_start_body: Callable[[], bool] = lambda: True
    transact: Callable[[Callable[[], Op]], Op] | None = None
    record: Callable[[Op], StepMemo | None] | None = None
    guard: Callable[[], None] = lambda: None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Discovered:
    """The call ended at new steps. Empty ``ops``: it met only pending ones.

    Attributes:
        target_missing: The call met another new step and never reached its target.
        met: The name of that other step.
    """

    ops: tuple[Op, ...] = ()
    target_missing: bool = False
    met: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Returned:
    """The function returned; ``output`` is JSON text."""

    output: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Raised:
    """The function raised outside a step, or a failed step's error left it."""

    error: ErrorValue
    is_retriable: bool = True
    retry_at: dt.datetime | None = None
    is_quiet: bool = False


CallResponse = Discovered | Returned | Raised


class Driver(Protocol):
    """Calls a function once. Raises only ``LeaseLostError``."""

    def call(self, function: Any, request: CallRequest) -> CallResponse:
        """Run the function from the top until it ends or meets new steps."""
