"""What a step call asks for, and what its stored result means to the caller."""
# ruff: noqa: D102 - the methods of all kinds are documented once, on Spec

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from inngest_django import clock
from inngest_django.durations import MAX_HORIZON, parse_date, parse_duration
from inngest_django.errors import (
    DurationError,
    EventInvalidError,
    LimitExceededError,
    OutputUnserializableError,
    StepUsageError,
)
from inngest_django.events import Event
from inngest_django.serialization import dumps, is_storable
from inngest_django.states import OpKind

MAX_VALUE_BYTES = 4 * 1024 * 1024
_MAX_EVENT_NAME = 512


class Unset:
    """The type of ``UNSET``."""

    def __repr__(self) -> str:
        return "<not set>"


UNSET = Unset()


_Output_co = TypeVar("_Output_co", covariant=True)


class Invocable(Protocol[_Output_co]):
    """What ``step.invoke`` needs of a function."""

    @property
    def id(self) -> str:
        """The qualified id."""

    def decode_output(self, value: Any) -> _Output_co:
        """Return a stored output in the function's ``output_type``."""


class Decoder(Protocol):
    """Turns a stored value into a type, by the client's serializer."""

    def decode(self, value: Any, output_type: object) -> Any:
        """Return the value in ``output_type``; as it is without one."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """Where a step is called, for what it depends on and for error messages."""

    function_id: str
    zone: dt.tzinfo

    def of(self, what: str, step_id: str) -> str:
        """Return the start of a message about one argument of a step."""
        return f'The {what} of step "{step_id}" in function "{self.function_id}"'


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """A step call. ``op`` is what it is reported as when it is new."""

    op: ClassVar[OpKind] = OpKind.STEP_RUN
    step_id: str

    def opts(self, site: Site) -> dict[str, Any]:
        """Check the arguments and return what the engine needs to know.

        Raises:
            InngestError: Not retriable; names function, step, value and remedy.
        """
        raise NotImplementedError

    def result(self, value: Any, decoder: Decoder) -> Any:
        """Return what the step call returns for a stored value."""
        raise NotImplementedError

    def recorded_input(self) -> Any:
        """Return the arguments for people to read, or None."""
        return None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BodySpec(Spec):
    """A step with a body of the author's (or of ``send_event``)."""

    handler: Callable[..., Any]
    args: tuple[Any, ...] = ()
    output_type: object = UNSET
    is_transaction: bool = False

    def opts(self, site: Site) -> dict[str, Any]:
        if not callable(self.handler):
            raise StepUsageError(
                f"{site.of('handler', self.step_id)} must be callable, got {self.handler!r}."
                " Pass the function itself, or a lambda."
            )
        shown = self.recorded_input()
        if shown is not None:
            _check_size(shown, site.of("input", self.step_id))
        return {"input": shown, "transaction": self.is_transaction}

    def recorded_input(self) -> Any:
        return [_shown(arg) for arg in self.args] if self.args else None

    def result(self, value: Any, decoder: Decoder) -> Any:
        return decoder.decode(value, self.output_type)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SleepSpec(Spec):
    """``sleep`` with a duration."""

    op = OpKind.SLEEP
    duration: object

    def opts(self, site: Site) -> dict[str, Any]:
        duration = parse_duration(self.duration, what=site.of("duration", self.step_id))
        return {"duration_ms": to_ms(duration)}

    def result(self, value: Any, decoder: Decoder) -> Any:  # noqa: ARG002 - one shape for all
        return None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SleepUntilSpec(Spec):
    """``sleep_until`` with a date."""

    op = OpKind.SLEEP
    until: object

    def opts(self, site: Site) -> dict[str, Any]:
        what = site.of("date", self.step_id)
        moment = parse_date(self.until, zone=site.zone, what=what)
        try:
            moment = moment.astimezone(dt.UTC)
        except OverflowError:
            raise DurationError(f"{what} cannot be {self.until!r}: it is no date in UTC.") from None
        if moment - clock.now() > MAX_HORIZON:
            raise DurationError(
                f"{what} is {moment.isoformat()}, over 366 days away, the longest allowed."
            )
        return {"until": moment.isoformat()}

    def result(self, value: Any, decoder: Decoder) -> Any:  # noqa: ARG002 - one shape for all
        return None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WaitSpec(Spec):
    """``wait_for_event``."""

    op = OpKind.WAIT_FOR_EVENT
    event: object
    timeout: object
    if_exp: object = None
    lookback: object = None

    def opts(self, site: Site) -> dict[str, Any]:
        if not isinstance(self.event, str) or not 0 < len(self.event) <= _MAX_EVENT_NAME:
            raise StepUsageError(
                f"{site.of('event', self.step_id)} must be the name of an event,"
                f" 1 to {_MAX_EVENT_NAME} characters, got {self.event!r}."
            )
        _check_storable(self.event, site.of("event", self.step_id))
        timeout = parse_duration(self.timeout, what=site.of("timeout", self.step_id))
        return {
            "event": self.event,
            "timeout_ms": to_ms(timeout),
            "if": self._checked_expression(site),
            "lookback": self._lookback(site),
        }

    def _checked_expression(self, site: Site) -> str | None:
        what = site.of("if_exp", self.step_id)
        if self.if_exp is None or self.if_exp == "":
            return None
        if not isinstance(self.if_exp, str):
            raise StepUsageError(
                f"{what} must be text, got {self.if_exp!r}."
                ' Write an expression such as "event.data.id == async.data.id".'
            )
        _check_storable(self.if_exp, what)
        # Late, because compiling loads the parser, which most calls never need.
        from inngest_django import expressions

        try:
            expressions.compile(self.if_exp, kind="wait")
        except expressions.ExpressionError as error:
            raise expressions.ExpressionError(
                f"{what} cannot be used. {error}", kind=error.kind
            ) from None
        return self.if_exp

    def _lookback(self, site: Site) -> str | int | None:
        if self.lookback is None or self.lookback == "run":
            return None if self.lookback is None else "run"
        return to_ms(parse_duration(self.lookback, what=site.of("lookback", self.step_id)))

    def result(self, value: Any, decoder: Decoder) -> Any:  # noqa: ARG002 - one shape for all
        return None if value is None else Event.from_stored(value)

    def recorded_input(self) -> Any:
        return {"event": self.event, "if": self.if_exp}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class InvokeSpec(Spec):
    """``invoke`` and ``invoke_by_id``; ``function`` is set by the former."""

    op = OpKind.INVOKE_FUNCTION
    function_id: str
    function: Invocable[Any] | None = None
    data: object = None
    timeout: object = None
    v: str | None = None

    def opts(self, site: Site) -> dict[str, Any]:
        what = site.of("data", self.step_id)
        data = {} if self.data is None else self.data
        if not isinstance(data, Mapping):
            raise EventInvalidError(f"{what} must be a mapping, got {data!r}.")
        try:
            _check_size(data, what)
        except (TypeError, ValueError, RecursionError) as error:
            raise EventInvalidError(
                f"{what} is not JSON: {error}. Pass objects, lists, strings, numbers."
            ) from None
        timeout_ms = None
        if self.timeout is not None:
            timeout_ms = to_ms(parse_duration(self.timeout, what=site.of("timeout", self.step_id)))
        _check_storable(self.function_id, site.of("function_id", self.step_id))
        # "payload" is where middleware of the SDK looks for the data to encrypt.
        payload: dict[str, Any] = {"data": dict(data)}
        if self.v is not None:
            payload["v"] = self.v
        return {"function_id": self.function_id, "payload": payload, "timeout_ms": timeout_ms}

    def result(self, value: Any, decoder: Decoder) -> Any:  # noqa: ARG002 - one shape for all
        return value if self.function is None else self.function.decode_output(value)


def to_ms(duration: dt.timedelta) -> int:
    """Return whole milliseconds, rounded up: a timer may end late, never early."""
    return -(-duration // dt.timedelta(milliseconds=1))


def encoded_output(value: object, *, step_id: str | None = None) -> str:
    """Return a step's or, without ``step_id``, a function's output as JSON text.

    Raises:
        OutputUnserializableError: It is not JSON.
        LimitExceededError: It is over 4 MiB.
    """
    who = "" if step_id is None else f'"{step_id}" '
    try:
        text = dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise OutputUnserializableError(f"{who}returned unserializable data") from error
    if len(text) > MAX_VALUE_BYTES:
        raise LimitExceededError(
            f"{who or 'The function '}returned {len(text)} bytes, over the limit of"
            f" {MAX_VALUE_BYTES}. Store the data elsewhere and return a reference."
        )
    return text


def _check_size(value: object, what: str) -> None:
    size = len(dumps(value))
    if size > MAX_VALUE_BYTES:
        raise LimitExceededError(
            f"{what} has {size} bytes, over the limit of {MAX_VALUE_BYTES}."
            " Store the data elsewhere and pass a reference."
        )


def _check_storable(text: str, what: str) -> None:
    if not is_storable(text):
        raise StepUsageError(
            f"{what} holds a NUL or half of a surrogate pair, which no database stores,"
            f" got {text!r}."
        )


def _shown(value: object) -> object:
    try:
        dumps(value)
    except (TypeError, ValueError, RecursionError):
        return f"<{type(value).__name__}>"
    return value
