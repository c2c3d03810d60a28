"""The values that the statements read and write."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from inngest_django.states import JobKind, OpKind, RunStatus, StepStatus


@dataclasses.dataclass(frozen=True, slots=True)
class Leased:
    """A leased job with what the call needs, read in one snapshot.

    Attributes:
        has_open_waits: Asked for an entry only.
        was_lost: Taken over from a worker that died or hung, which charged it.
        has_begun: The run was queued, and runs since it was leased.
        has_begun_step: The planned step is being tried since it was leased.
    """

    job_id: int
    token: int
    kind: JobKind
    step_id: int | None
    run_id: str
    function_id: str
    attempt: int
    loss_count: int
    was_lost: bool
    run_status: RunStatus
    revision: int
    function_version: int
    has_unscanned_rules: bool
    has_open_pieces: bool
    has_open_waits: bool
    parent_id: int | None
    event_ids: list[str] | None
    event: EventRow
    now: dt.datetime
    has_begun: bool
    has_begun_step: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class EventRow:
    """An event as stored; ``data`` and ``user`` are JSON text."""

    id: str
    external_id: str | None
    name: str
    data: str | None
    user: str | None
    ts: int
    version: str | None


@dataclasses.dataclass(slots=True)
class StepRow:
    """A step as stored; ``output`` and ``error`` are JSON text."""

    id: int
    hashed_id: str
    op: OpKind
    status: StepStatus
    output: str | None
    error: str | None
    revision: int | None
    mode: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NewStep:
    """A step that was found and settled in one entry; texts are JSON."""

    hashed_id: str
    name: str
    index: int
    op: OpKind
    status: StepStatus
    input: str | None
    output: str | None
    error: str | None
    attempt_count: int
    started_at: dt.datetime | None


@dataclasses.dataclass(frozen=True, slots=True)
class LockedRun:
    """A run whose row lock this transaction holds."""

    id: str
    status: RunStatus
    revision: int
    floor_seq: int
    now: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Waiting:
    """Whether events wait for their routing, and schedules, anybody's, for their release."""

    routing: bool
    schedules: bool


@dataclasses.dataclass(frozen=True, slots=True)
class DueJob:
    """A job that the tick gives a hint for.

    Attributes:
        repeats: How many hints it had that came to nothing, as far as that can be told.
    """

    id: int
    function_id: str
    due_at: dt.datetime
    repeats: int


@dataclasses.dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to store; ``data`` and ``user`` are JSON text, ``ts`` None is now."""

    id: str
    external_id: str | None
    name: str
    data: str
    user: str | None
    ts: int | None
    version: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Arrival:
    """A stamped event that is to be routed; ``event.data`` is None where nobody reads it."""

    event: EventRow
    received_at: dt.datetime
    seq: int


@dataclasses.dataclass(frozen=True, slots=True)
class NewRun:
    """A run to start, if it can take as many keys as it has."""

    event_id: str
    run_id: str
    function_id: str
    function_version: int
    key_count: int


@dataclasses.dataclass(frozen=True, slots=True)
class RunKey:
    """An idempotency key that a run takes first."""

    event_id: str
    run_id: str
    function_id: str
    key: str


@dataclasses.dataclass(frozen=True, slots=True)
class NewEntry:
    """The entry of a run, ``delay`` seconds from being due."""

    job_id: int
    function_id: str
    delay: float


@dataclasses.dataclass(frozen=True, slots=True)
class Started:
    """What one routing wrote: how many events, and the entries that are due soon."""

    routed: int
    entries: list[NewEntry]


@dataclasses.dataclass(frozen=True, slots=True)
class OpenWait:
    """An open wait, found under one of its keys.

    Attributes:
        own_event_ids: The events of its run, which never end its waits.
    """

    key: int
    id: int
    run_id: str
    step_id: int | None
    kind: str
    event_name: str
    expression: str
    constants: Any
    floor_seq: int
    expires_at: dt.datetime
    own_event_ids: frozenset[str]


@dataclasses.dataclass(frozen=True, slots=True)
class WaitMatch:
    """A wait of a step, and the event that ends it."""

    wait_id: int
    step_id: int
    run_id: str
    event_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class SettledWait:
    """A step whose wait ended, and the entry of its run if that follows."""

    run_id: str
    step_id: int
    step_name: str
    function_id: str
    entry_id: int | None
