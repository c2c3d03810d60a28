"""The exception tree, with a stable code on each class.

InngestError                        unknown
├── ConfigError                     function_config_invalid   (also FunctionConfigInvalidError)
├── NonRetriableError               non_retriable_error
├── RetryAfterError                 retry_after_error
├── StepError                       step_errored
├── StepNestedError                 step_nested
├── StepUnexpectedError             step_unexpected
├── InterruptSwallowedError         interrupt_swallowed
├── StepInAtomicError               step_in_atomic
├── OutputUnserializableError       output_unserializable
├── AsyncUnsupportedError           async_unsupported
├── FunctionNotFoundError           function_not_found
├── DurationError                   duration_invalid
├── StepUsageError                  step_invalid
├── OutsideStepError                outside_step
├── SendEventsError                 send_event_failed
├── EventKeyUnspecifiedError        event_key_unspecified
├── EventInvalidError               event_invalid
│   └── EventDataError              event_data_invalid
├── LimitExceededError              limit_exceeded
└── LeaseLostError                  lease_lost
"""

from __future__ import annotations

import datetime as dt
import os
import sysconfig
import traceback
from pathlib import Path
from typing import TypedDict

# Frames of these folders belong to the engine or to what carries it; a user looking for
# the cause of a failure has no use for them. Whole folders, so that an author's own
# "celery_jobs.py" is not taken for one.
_PATHS = sysconfig.get_paths()
_ENGINE_FOLDERS = (
    str(Path(__file__).parent) + os.sep,
    *(
        str(Path(_PATHS[root], *parts)) + os.sep
        for root, parts in (
            ("stdlib", ("asyncio",)),
            ("stdlib", ("concurrent", "futures")),
            ("purelib", ("asgiref",)),
            ("purelib", ("billiard",)),
            ("purelib", ("celery",)),
        )
    ),
)
_MAX_TEXT = 64 * 1024


class ErrorValue(TypedDict):
    """How an error is stored and shown: four texts, ``stack`` may be None."""

    code: str
    name: str
    message: str
    stack: str | None


class InngestError(Exception):
    """Base of all errors of this package.

    Attributes:
        code: Stable, snake case.
        is_retriable: Whether trying again may help.
        quiet: Whether the engine keeps the failure out of the error log.
    """

    code: str = "unknown"
    is_retriable: bool = True
    quiet: bool = False

    @property
    def message(self) -> str:
        """The text alone, as ``str(error)`` gives it."""
        return str(self)

    @property
    def name(self) -> str:
        """The class name, as stored with a failed run."""
        return type(self).__name__

    @property
    def stack(self) -> str | None:
        """The formatted traceback without engine frames, or None when never raised."""
        return user_stack(self)


class ConfigError(InngestError):
    """A function, client or setting is declared in a way that cannot work."""

    code = "function_config_invalid"
    is_retriable = False


FunctionConfigInvalidError = ConfigError


class NonRetriableError(InngestError):
    """Raised by user code to fail without another attempt."""

    code = "non_retriable_error"
    is_retriable = False

    def __init__(self, message: str | None = None, quiet: bool = False) -> None:
        super().__init__("" if message is None else message)
        self.quiet = quiet


class RetryAfterError(InngestError):
    """Raised by user code to choose the time of the next attempt.

    Args:
        retry_after: Milliseconds, a timedelta, or a datetime.

    Attributes:
        retry_after: The moment, whatever was given.
        delay: How long from now, when a duration was given.
    """

    code = "retry_after_error"

    def __init__(
        self,
        message: str | None,
        retry_after: int | dt.timedelta | dt.datetime,
        quiet: bool = False,
    ) -> None:
        super().__init__("" if message is None else message)
        if isinstance(retry_after, int):
            retry_after = dt.timedelta(milliseconds=retry_after)
        # A time from now stays one, so that a worker whose clock differs, or is moved by a
        # test, waits as long as was asked for.
        self.delay: dt.timedelta | None = None
        if isinstance(retry_after, dt.timedelta):
            self.delay = retry_after
            retry_after = dt.datetime.now(dt.UTC) + retry_after  # noqa: TID251 - a leaf module
        self.retry_after: dt.datetime = retry_after
        self.quiet = quiet


class StepError(InngestError):
    """A step failed for good; its properties are those of the original error."""

    code = "step_errored"
    is_retriable = False

    def __init__(
        self,
        message: str,
        name: str = "StepError",
        stack: str | None = None,
        *,
        code: str = "step_errored",
    ) -> None:
        super().__init__(message)
        self.code = code
        self._name = name
        self._stack = stack

    @property
    def name(self) -> str:
        """Class name of the error that the step's body raised."""
        return self._name

    @property
    def stack(self) -> str | None:
        """Stack of the error that the step's body raised."""
        return self._stack


class _CodedError(InngestError):
    is_retriable = False


class _StacklessError(_CodedError):
    @property
    def stack(self) -> str | None:
        """None: it is raised by the engine, and no frame of the author's explains it."""
        return None


class StepNestedError(_CodedError):
    """A step was started inside the body of another step."""

    code = "step_nested"

    def __init__(self, message: str = "Nested steps are not supported.") -> None:
        super().__init__(message)

    @property
    def name(self) -> str:
        """The name under which the Inngest SDK stores this failure."""
        return "CodedError"


class StepUsageError(_CodedError, TypeError):
    """A step was called with an id or an argument that it cannot take."""

    code = "step_invalid"


class OutsideStepError(_CodedError, LookupError):
    """Something was read that exists only inside a function, or inside a step's body."""

    code = "outside_step"


class StepUnexpectedError(_StacklessError):
    """A call that was to run one step met another one first."""

    code = "step_unexpected"


class InterruptSwallowedError(_CodedError):
    """User code caught or replaced the unwinding that ends a call."""

    code = "interrupt_swallowed"


class StepInAtomicError(_CodedError):
    """A step was called inside the author's own ``atomic`` block."""

    code = "step_in_atomic"


class OutputUnserializableError(_StacklessError):
    """A step or function returned something that JSON cannot hold."""

    code = "output_unserializable"


class AsyncUnsupportedError(_CodedError):
    """An async hook or body was met where only plain ones can run."""

    code = "async_unsupported"


class FunctionNotFoundError(_CodedError):
    """No function with that id is registered."""

    code = "function_not_found"


class DurationError(_CodedError, ValueError):
    """A duration or date that cannot be read or lies outside the limits."""

    code = "duration_invalid"


class LimitExceededError(_CodedError):
    """A documented limit was exceeded."""

    code = "limit_exceeded"


class LeaseLostError(_CodedError):
    """The worker's claim on the job ended before it could report."""

    code = "lease_lost"


class EventInvalidError(_CodedError):
    """An event breaks a documented rule: name, size, depth, time or values."""

    code = "event_invalid"


class EventDataError(EventInvalidError):
    """An event's data does not fit the model that was declared for it."""

    code = "event_data_invalid"


class EventKeyUnspecifiedError(_CodedError):
    """Kept for source compatibility; sending needs no key in this package."""

    code = "event_key_unspecified"


class SendEventsError(InngestError):
    """Sending failed part of the way; ``ids`` are those accepted before."""

    code = "send_event_failed"

    def __init__(self, message: str, ids: list[str] | None = None) -> None:
        super().__init__(message)
        self.ids: list[str] = ids or []


Error = InngestError


def user_stack(error: BaseException) -> str | None:
    """Return the formatted traceback with only the author's frames, or None."""
    if error.__traceback__ is None:
        return None
    try:
        summary = traceback.TracebackException.from_exception(error)
        _drop_engine_frames(summary, seen=set())
        return _shortened("".join(summary.format()))
    except Exception:  # noqa: BLE001 - a repr of the author's that raises must not hide the error
        return f"Traceback (most recent call last):\n{type(error).__name__}\n"


def _drop_engine_frames(summary: traceback.TracebackException, *, seen: set[int]) -> None:
    if id(summary) in seen:
        return
    seen.add(id(summary))
    summary.stack = traceback.StackSummary.from_list(
        [frame for frame in summary.stack if not _is_engine_frame(frame.filename)]
    )
    for other in (summary.__cause__, summary.__context__, *(summary.exceptions or ())):
        if other is not None:
            _drop_engine_frames(other, seen=seen)


def _is_engine_frame(filename: str) -> bool:
    return filename.startswith(("<frozen ", *_ENGINE_FOLDERS))


def _shortened(text: str) -> str:
    if len(text) <= _MAX_TEXT:
        return text
    half = _MAX_TEXT // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters …\n{text[-half:]}"


def _text(error: BaseException) -> str:
    try:
        return _shortened(str(error))
    except Exception:  # noqa: BLE001 - a __str__ of the author's that raises must not hide it
        return f"<{type(error).__name__} without a readable message>"


def error_value(error: BaseException) -> ErrorValue:
    """Return the stored form of any exception."""
    if isinstance(error, InngestError):
        return ErrorValue(code=error.code, name=error.name, message=_text(error), stack=error.stack)
    return ErrorValue(
        code="unknown", name=type(error).__name__, message=_text(error), stack=user_stack(error)
    )
