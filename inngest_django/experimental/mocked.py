"""Runs one function at once, without engine, database or broker.

Compatible with ``inngest.experimental.mocked``. Beyond it: results pass through JSON as they
do in production, a failed step raises ``StepError`` into the function, errors that are not
retriable are not retried, and ``on_failure`` runs. For the real engine in a test, with its
clock, waits and retries, see ``inngest_django.testing``.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

from inngest_django import client as real
from inngest_django.drivers.base import (
    RACE_MODE,
    CallRequest,
    CallResponse,
    Discovered,
    Op,
    Raised,
    Returned,
    StepMemo,
)
from inngest_django.drivers.in_process import InProcessDriver
from inngest_django.drivers.stand_ins import (
    TIMEOUT,
    Scene,
    UnstubbedStepError,
    around,
    chosen,
    lookup,
)
from inngest_django.errors import ErrorValue, StepError, error_value
from inngest_django.events import Event
from inngest_django.functions.function import FAILURE_EVENT, Function
from inngest_django.serialization import loads
from inngest_django.states import OpKind
from inngest_django.steps.specs import BodySpec, SleepSpec, SleepUntilSpec, Spec

__all__ = ["Inngest", "Result", "Status", "Timeout", "UnstubbedStepError", "trigger"]

RUN_ID = "test"
_EVENT_ID = "0" * 26
_MOST_CALLS = 100_000

Timeout = TIMEOUT
"""As the stub of a ``wait_for_event``: nothing came, and the step returns None."""


class Status(enum.Enum):
    """How a run ended."""

    COMPLETED = "Completed"
    FAILED = "Failed"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of a run.

    Attributes:
        status: Completed or failed.
        output: What the function returned, as it is after JSON; None when it failed.
        error: What it failed with, as it was raised; None when it completed.
        on_failure: What became of the failure handler, when there is one and it ran.
    """

    status: Status
    output: Any = None
    error: Exception | None = None
    on_failure: Result | None = None


class Inngest(real.Inngest):
    """A client that sends nothing. Takes what the real one takes.

    Its logger is a ``Mock`` unless one is given, so that a test can look at the calls.
    """

    def __init__(self, *, app_id: str, **options: Any) -> None:
        options.setdefault("logger", mock.Mock())
        super().__init__(app_id=app_id, **options)

    async def send(
        self, events: Event | Sequence[Event], *, skip_middleware: bool = False
    ) -> list[str]:
        """Send nothing; return 26 zeros for each event."""
        return self.send_sync(events, skip_middleware=skip_middleware)

    def send_sync(
        self,
        events: Event | Sequence[Event],
        *,
        skip_middleware: bool = False,  # noqa: ARG002 - the signature of the real client
    ) -> list[str]:
        """Send nothing; return 26 zeros for each event."""
        return [_EVENT_ID] * (1 if isinstance(events, Event) else len(events))


def trigger(
    fn: Function,
    event: Event | Sequence[Event],
    client: Inngest,
    *,
    step_stubs: Mapping[str, Any] | None = None,
) -> Result:
    """Run a function from its start to its end.

    Sleeps return at once, and retries do not wait. Retries are counted for the run as a whole.

    Args:
        event: One event, or the events of a batch.
        step_stubs: Results by step id, for steps of any kind; their bodies are not called.
            ``Timeout`` or an ``Event`` for a wait; ``"a:1"`` for the second use of ``"a"``.

    Raises:
        UnstubbedStepError: A wait or an invoke was met that has no stub.
    """
    events = [event] if isinstance(event, Event) else list(event)
    if not events:
        raise Exception("Must provide at least 1 event")  # noqa: TRY002 - as the SDK does
    payloads = tuple(one.model_dump(mode="json") for one in events)
    run = _Run(_with_client(fn, client), payloads, step_stubs or {})
    result = run.result()
    if result.status is Status.FAILED and fn.failure_function is not None:
        failure = _failure_event(fn, payloads, run.error_value)
        handler = _Run(_with_client(fn.failure_function, client), (failure,), step_stubs or {})
        result = dataclasses.replace(result, on_failure=handler.result())
    return result


class _Run:
    """One run: what the engine does with rows and time, with a dict and at once."""

    def __init__(
        self,
        function: Function,
        events: tuple[Mapping[str, Any], ...],
        stubs: Mapping[str, Any],
    ) -> None:
        self.error_value = ErrorValue(code="unknown", name="Error", message="", stack=None)
        self._function = function
        self._events = events
        self._stubs = stubs
        self._scene = Scene(function, self._choose)
        self._memos: dict[str, StepMemo] = {}
        self._open: dict[str, Op] = {}
        self._failures = 0
        # By message and class, which is what is left of an error in a stored result.
        self._raised: dict[tuple[str, str], Exception] = {}

    def result(self) -> Result:
        """Call the function until it ends."""
        target: str | None = None
        for _ in range(_MOST_CALLS):
            response = self._call(target)
            if isinstance(response, Returned):
                output = self._function.decode_output(loads(response.output))
                return Result(status=Status.COMPLETED, output=output)
            if isinstance(response, Raised):
                if not response.is_retriable or self._failures >= self._function.retries:
                    self.error_value = response.error
                    return Result(status=Status.FAILED, error=self._original(response.error))
                self._failures += 1
                continue
            is_race = self._take(response)
            target = None if is_race else self._next()
        raise RuntimeError(
            f"Function {self._function.id!r} did not end within {_MOST_CALLS} calls."
            " Look for a loop that never leaves, or step ids that differ on each call."
        )

    def _call(self, target: str | None) -> CallResponse:
        retries = self._function.retries
        request = CallRequest(
            run_id=RUN_ID,
            attempt=min(self._failures, retries),
            max_attempts=retries + 1,
            event=self._events[0],
            events=self._events,
            memos=self._memos,
            pending=frozenset(self._open),
            target=target,
            transact=lambda body: body(),
        )
        response = InProcessDriver().call(self._scene.function, request)
        if self._scene.refused is not None:
            raise self._scene.refused
        return response

    def _take(self, response: Discovered) -> bool:
        """Keep what a call found; returns whether the function is to be called for a race."""
        if response.target_missing or not (response.ops or self._open):
            raise RuntimeError(
                f"Function {self._function.id!r} called its steps differently this time."
                " Steps must be called the same way on every entry."
            )
        for op in response.ops:
            if op.kind is OpKind.STEP_RUN:
                self._settle(op, value=None if op.output is None else loads(op.output))
            elif op.kind is OpKind.STEP_FAILED:
                self._settle(op, error=op.error)
            else:
                self._open[op.hashed_id] = op
                if op.kind is OpKind.STEP_ERROR:
                    self._failures += 1
        return any(
            op.kind in (OpKind.STEP_RUN, OpKind.STEP_FAILED) and op.mode == RACE_MODE
            for op in response.ops
        )

    def _next(self) -> str | None:
        """Return the step whose body is next, ending sleeps when nothing else is left."""
        for hashed_id, op in self._open.items():
            if op.kind is not OpKind.SLEEP:
                return hashed_id
        for op in list(self._open.values()):
            self._settle(op)
            if op.mode == RACE_MODE:
                break
        return None

    def _settle(self, op: Op, *, value: Any = None, error: ErrorValue | None = None) -> None:
        self._open.pop(op.hashed_id, None)
        self._memos[op.hashed_id] = StepMemo(
            hashed_id=op.hashed_id,
            op=op.kind,
            value=value,
            error=error,
            revision=len(self._memos) + 1,
        )

    def _choose(self, spec: Spec, index: int) -> Spec:
        is_chosen, value = lookup(self._stubs, spec, index)
        if is_chosen:
            spec = chosen(spec, value)
        if isinstance(spec, BodySpec):
            return around(spec, self._watching)
        if not isinstance(spec, SleepSpec | SleepUntilSpec):
            raise UnstubbedStepError(spec.step_id)
        return spec

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._remember(error)
            raise

    def _remember(self, error: Exception) -> None:
        value = error_value(error)
        self._raised[value["name"], value["message"]] = error

    def _original(self, stored: ErrorValue) -> Exception:
        """Return the exception that was raised, for the form in which it is stored."""
        error = self._scene.error
        if error is not None and not isinstance(error, StepError):
            self._remember(error)
        found = self._raised.get((stored["name"], stored["message"]))
        return found or StepError(
            stored["message"], stored["name"], stored["stack"], code=stored["code"]
        )


def _with_client(fn: Function, client: Inngest) -> Function:
    """Return the function as if ``client`` had made it; its id stays."""
    if fn.client.serializer is not None and client.serializer is None:
        client = copy.copy(client)
        client._serializer = fn.client.serializer  # noqa: SLF001 - there is no setter
    mine = copy.copy(fn)
    mine.client = client
    return mine


def _failure_event(
    fn: Function, events: tuple[Mapping[str, Any], ...], error: ErrorValue
) -> dict[str, Any]:
    return {
        "id": _EVENT_ID,
        "name": FAILURE_EVENT,
        "data": {
            "function_id": fn.id,
            "run_id": RUN_ID,
            "event": dict(events[0]),
            "events": [dict(event) for event in events],
            "error": {
                "error": "invalid status code: 500",
                "name": error["name"],
                "message": error["message"],
                "stack": error["stack"],
            },
            "_inngest": {"status": "Failed"},
        },
        "ts": events[0].get("ts") or 0,
    }
