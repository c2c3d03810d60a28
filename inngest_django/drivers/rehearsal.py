"""Rehearsals: where today's code would take a run that has stored results.

A rehearsal calls a function through the driver with a run's stored results, runs no step's
body, and stores nothing. It tells which stored steps the code still meets, and which new ones
it would begin. The code between steps does run, as on every entry, but its clients send nothing;
so do the constructors and ``transform_input`` of middleware, without which stored results
may be unreadable.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from inngest_django.drivers.base import (
    CallRequest,
    CallResponse,
    Discovered,
    Op,
    Raised,
    Returned,
    StepMemo,
)
from inngest_django.drivers.in_process import InProcessDriver
from inngest_django.drivers.replay import StepIds
from inngest_django.drivers.stand_ins import Scene
from inngest_django.errors import ErrorValue
from inngest_django.functions.function import Function
from inngest_django.functions.middleware import UninitializedMiddleware
from inngest_django.states import OpKind
from inngest_django.steps import current
from inngest_django.steps.specs import Spec

# Not by getLogger: a project's LOGGING could make it speak again.
_silent = logging.Logger("inngest_django.rehearsal")  # noqa: LOG001
_silent.disabled = True


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class KnownStep:
    """A step that a run has a row of.

    Attributes:
        is_open: It has no result yet: planned, being tried, sleeping or waiting.
        value, error, revision: Of the result, as in ``StepMemo``.
    """

    hashed_id: str
    name: str
    index: int = 0
    op: OpKind = OpKind.STEP_RUN
    is_open: bool = False
    value: Any = None
    error: ErrorValue | None = None
    revision: int = 0

    def __str__(self) -> str:
        return f"{self.name}:{self.index}" if self.index else self.name


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MetStep:
    """A step call that the code made.

    Attributes:
        op: What the code asks for; a body is a ``StepRun``.
        known: The run's step of that id, or None: the step is new.
    """

    hashed_id: str
    name: str
    index: int
    op: OpKind
    known: KnownStep | None

    def __str__(self) -> str:
        return f"{self.name}:{self.index}" if self.index else self.name

    @property
    def is_other_kind(self) -> bool:
        """Whether the run's step of that id is of another kind, such as a sleep."""
        return self.known is not None and self.known.op is not self.op


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsal:
    """What a call would do.

    Attributes:
        met: The step calls in the order the code made them; each is stored, open or new.
        unmet: The run's steps that the code did not come to, in the order of their results,
            open ones last. After a new step this says nothing about the code behind it.
        new: What would be planned.
        response: How the call ended: ``Discovered``, ``Returned`` or ``Raised``.
        sent: Names of events that the code would have sent outside of steps.
    """

    met: tuple[MetStep, ...]
    unmet: tuple[KnownStep, ...]
    new: tuple[Op, ...]
    response: CallResponse
    sent: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether the function came to its end, by returning or raising."""
        return isinstance(self.response, Returned | Raised)

    @property
    def error(self) -> ErrorValue | None:
        """What the code raised outside a step, or None."""
        return self.response.error if isinstance(self.response, Raised) else None


def rehearse(
    function: Function,
    *,
    run_id: str,
    events: Sequence[Mapping[str, Any]],
    steps: Sequence[KnownStep],
    attempt: int = 0,
    time_zone: dt.tzinfo = dt.UTC,
) -> Rehearsal:
    """Call a function as the run's next entry would, and stop at the first new steps.

    Args:
        function: As it is in the code today; it need not be registered.
        events: The run's events as ``Event.payload`` gives them, the first one first.
        steps: All steps of the run that are settled or open.
    """
    known = {step.hashed_id: step for step in steps}
    settled = sorted((s for s in steps if not s.is_open), key=lambda step: step.revision)
    ids = StepIds()
    met: list[MetStep] = []

    def watch(spec: Spec, _: int) -> Spec:
        # The driver counts the same way, and is asked right after.
        hashed_id, index = ids.take(spec.step_id)
        met.append(
            MetStep(
                hashed_id=hashed_id,
                name=spec.step_id,
                index=index,
                op=spec.op,
                known=known.get(hashed_id),
            )
        )
        return spec

    scene = Scene(_without_effects(function), watch)
    request = CallRequest(
        run_id=run_id,
        attempt=attempt,
        max_attempts=max(function.max_attempts, attempt + 1),
        event=events[0],
        events=tuple(events),
        memos={step.hashed_id: _memo(step) for step in settled},
        pending=frozenset(step.hashed_id for step in steps if step.is_open),
        plan_only=True,
        step_limit=sys.maxsize,
        time_zone=time_zone,
    )
    with current.rehearsing() as sent:
        response = InProcessDriver().call(scene.function, request)
    seen = {step.hashed_id for step in met}
    rest = [*settled, *(step for step in steps if step.is_open)]
    return Rehearsal(
        met=tuple(met),
        unmet=tuple(step for step in rest if step.hashed_id not in seen),
        new=response.ops if isinstance(response, Discovered) else (),
        response=response,
        sent=tuple(sent),
    )


def _memo(step: KnownStep) -> StepMemo:
    return StepMemo(
        hashed_id=step.hashed_id,
        op=step.op,
        value=step.value,
        error=step.error,
        revision=step.revision,
    )


def _without_effects(function: Function) -> Function:
    """Return a copy that logs nothing, and whose middleware only prepares the input."""
    client: Any = copy.copy(function.client)
    client.logger = _silent
    client.middleware = [_only_input(factory) for factory in client.middleware]
    mine = copy.copy(function)
    mine.client = client
    mine.middleware = [_only_input(factory) for factory in function.middleware]
    return mine


class _OnlyInput:
    def __init__(self, hook: Any) -> None:
        self.transform_input = hook


def _only_input(factory: UninitializedMiddleware) -> UninitializedMiddleware:
    def make(client: Any, raw_request: Any) -> Any:
        member = factory(client, raw_request)
        return _OnlyInput(getattr(member, "transform_input", None))

    return make
