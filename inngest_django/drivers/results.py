"""From what a call found to what it reports."""

from __future__ import annotations

import dataclasses
import datetime as dt
import inspect
from typing import Any

from inngest_django import clock
from inngest_django.drivers.base import CallRequest, Op, Raised, Returned
from inngest_django.errors import (
    ErrorValue,
    InngestError,
    OutputUnserializableError,
    RetryAfterError,
    error_value,
)
from inngest_django.functions.function import Function
from inngest_django.functions.middleware import (
    MiddlewareStack,
    Opcode,
    TransformOutputResult,
    TransformOutputStepInfo,
)
from inngest_django.serialization import dumps
from inngest_django.states import OpKind
from inngest_django.steps.specs import UNSET, encoded_output

MIN_RETRY_AFTER = dt.timedelta(seconds=1)
MAX_RETRY_AFTER = dt.timedelta(hours=24)
_FAILURES = (OpKind.STEP_ERROR, OpKind.STEP_FAILED)


@dataclasses.dataclass(kw_only=True, slots=True)
class Found:
    """A step that this call met first, and with a body also what became of it."""

    kind: OpKind
    hashed_id: str
    name: str
    index: int
    mode: str
    opts: dict[str, Any]
    input: Any = None
    output: Any = UNSET
    error: BaseException | None = None
    started_at: dt.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Attempts:
    """Which try this is, and of how many."""

    attempt: int
    max_attempts: int

    @property
    def is_last(self) -> bool:
        """Whether a failure now is final."""
        return self.attempt + 1 >= self.max_attempts


def failure_kind(error: BaseException, attempts: Attempts) -> OpKind:
    """Return whether a body's error may be tried again."""
    if attempts.is_last or not is_retriable(error):
        return OpKind.STEP_FAILED
    return OpKind.STEP_ERROR


def is_retriable(error: BaseException) -> bool:
    """Whether trying again may help."""
    return error.is_retriable if isinstance(error, InngestError) else True


def sole_cause(error: BaseException) -> BaseException:
    """Return the only error in a group (of a ``TaskGroup``), or the error itself."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def step_op(found: Found, stack: MiddlewareStack, attempts: Attempts) -> Op:
    """Return what is reported for a found step, after middleware had its say."""
    error = found.error
    output = found.output if found.kind is OpKind.STEP_RUN else None
    info = TransformOutputStepInfo(id=found.name, op=Opcode.of(found.kind), opts=found.opts)
    result = TransformOutputResult(
        error=error if isinstance(error, Exception) else None, output=output, step=info
    )
    await stack.transform_output(result)
    if isinstance(error, Exception) or error is None:
        error = result.error
    if found.kind not in (OpKind.STEP_RUN, *_FAILURES):
        return planned_op(found)
    if error is None:
        try:
            return _op(
                found,
                kind=OpKind.STEP_RUN,
                output=encoded_output(_closed(result.output), step_id=found.name),
            )
        except InngestError as refused:
            error = refused
    kind = failure_kind(error, attempts)
    return _op(found, kind=kind, error=error_value(error), is_retriable=kind is OpKind.STEP_ERROR)


def planned_op(found: Found) -> Op:
    """Return what is reported for one step of a plan of several."""
    return _op(found, opts=_engine_opts(found))


def _op(found: Found, **values: Any) -> Op:
    return Op(
        **{
            "kind": found.kind,
            "hashed_id": found.hashed_id,
            "name": found.name,
            "index": found.index,
            "mode": found.mode,
            "input": found.input,
            "started_at": found.started_at,
            **values,
        }
    )


def _engine_opts(found: Found) -> dict[str, Any]:
    opts = dict(found.opts)
    if found.kind is OpKind.INVOKE_FUNCTION:
        payload = opts.pop("payload")
        opts["data"] = payload.get("data")
        if payload.get("v") is not None:
            opts["v"] = payload["v"]
    return opts


async def function_result(
    value: Any, function: Function, stack: MiddlewareStack, request: CallRequest
) -> Returned | Raised:
    """Return what is reported for a function that returned."""
    try:
        output = encode(value, function, function.output_type)
    except OutputUnserializableError as error:
        return await function_error(error, stack, request)
    result = TransformOutputResult(output=output)
    await stack.transform_output(result)
    return _function_outcome(result, request)


async def function_error(
    error: BaseException, stack: MiddlewareStack, request: CallRequest
) -> Returned | Raised:
    """Return what is reported for a function that raised."""
    if not isinstance(error, Exception):
        return raised(error, request)
    result = TransformOutputResult(error=error)
    await stack.transform_output(result)
    return _function_outcome(result, request)


def _function_outcome(result: TransformOutputResult, request: CallRequest) -> Returned | Raised:
    if result.error is not None:
        return raised(result.error, request)
    try:
        return Returned(
            output=encoded_output(_closed(result.output) if result.has_output() else None)
        )
    except InngestError as error:
        return raised(error, request)


def encode(
    value: Any, function: Function, output_type: object, *, step_id: str | None = None
) -> Any:
    """Return a value as the client's serializer writes it.

    Raises:
        OutputUnserializableError: The serializer refuses it.
    """
    try:
        return function.encode(value, output_type)
    except Exception as error:
        who = "" if step_id is None else f'"{step_id}" '
        raise OutputUnserializableError(f"{who}returned unserializable data") from error


def _closed(value: Any) -> Any:
    if inspect.iscoroutine(value):
        value.close()  # It will be refused; Python must not complain that nobody awaited it.
    return value


def raised(error: BaseException, request: CallRequest) -> Raised:
    """Return what is reported for an error that left the function."""
    cause = sole_cause(error)
    retry_at = None
    if isinstance(cause, RetryAfterError):
        retry_at = retry_moment(cause, zone=request.time_zone)
    return Raised(
        error=stored_error(cause),
        is_retriable=is_retriable(cause),
        retry_at=retry_at,
        is_quiet=isinstance(cause, InngestError) and cause.quiet,
    )


def stored_error(error: BaseException) -> ErrorValue:
    """Return the stored form; text that JSON cannot hold is not an issue, it is escaped."""
    value = error_value(error)
    dumps(value)
    return value


def retry_moment(error: RetryAfterError, *, zone: dt.tzinfo) -> dt.datetime:
    """Return when to try again: aware, in 1 second to 24 hours from now."""
    now = clock.now()
    if error.delay is not None:
        delay = error.delay
    else:
        moment = error.retry_after
        delay = (moment.replace(tzinfo=zone) if moment.tzinfo is None else moment) - now
    return now + min(max(delay, MIN_RETRY_AFTER), MAX_RETRY_AFTER)
