"""The step tools of the function that runs here."""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ParamSpec, TypeVar, cast

from inngest_django.errors import AsyncUnsupportedError, InngestError, OutsideStepError
from inngest_django.events import Event
from inngest_django.ids import new_ulid
from inngest_django.steps.calling import is_async_callable
from inngest_django.steps.tools import Step, StepSync

_P = ParamSpec("_P")
_R = TypeVar("_R")

_current: contextvars.ContextVar[Step | StepSync | None] = contextvars.ContextVar(
    "inngest_django_step", default=None
)

_unsent: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar(
    "inngest_django_unsent", default=None
)


def is_rehearsal() -> bool:
    """Whether the code that runs here is only tried: clients send nothing."""
    return _unsent.get() is not None


def note_unsent(events: Iterable[Event]) -> list[str]:
    """Note events instead of sending them in a rehearsal; return ids as if they were sent."""
    sent = list(events)
    names = _unsent.get()
    if names is not None:
        names.extend(event.name for event in sent)
    return [event.id or new_ulid() for event in sent]


@contextlib.contextmanager
def rehearsing() -> Iterator[list[str]]:
    """Let clients send nothing in this block; gives the names of what they would have sent."""
    names: list[str] = []
    token = _unsent.set(names)
    try:
        yield names
    finally:
        _unsent.reset(token)


def get_step_context() -> Step | StepSync:
    """Return the step tools of the function that runs here.

    Raises:
        OutsideStepError: No function runs here; it is a ``LookupError`` too.
    """
    step = _current.get()
    if step is None:
        raise OutsideStepError(
            "There is no step context here. Call this inside a durable function."
        )
    return step


@contextlib.contextmanager
def set_step_context(step: Step | StepSync) -> Iterator[None]:
    """Make ``step`` the step tools of this block.

    Raises:
        InngestError: A step context is already set.
    """
    if _current.get() is not None:
        raise InngestError("Step context already set")
    with entered(step):
        yield


@contextlib.contextmanager
def entered(step: Step | StepSync) -> Iterator[None]:
    """Make ``step`` the step tools of this block, whatever was set before."""
    token = _current.set(step)
    try:
        yield
    finally:
        _current.reset(token)


def step(step_id: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Make a function a step wherever a durable function calls it.

    Outside a durable function it is called as it is.
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        if is_async_callable(function):

            @functools.wraps(function)
            async def call_async(*args: _P.args, **kwargs: _P.kwargs) -> Any:
                tools = _current.get()
                bound: Any = functools.partial(function, *args, **kwargs)
                if tools is None:
                    return await bound()
                if isinstance(tools, StepSync):
                    raise AsyncUnsupportedError(
                        f'Step "{step_id}" is an async function, called in a plain one.'
                        " Declare the handler with async def."
                    )
                return await tools.run(step_id, bound)

            return cast("Callable[_P, _R]", call_async)

        @functools.wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            tools = _current.get()
            bound: Callable[[], _R] = functools.partial(function, *args, **kwargs)
            if tools is None:
                return bound()
            if isinstance(tools, Step):
                raise AsyncUnsupportedError(
                    f'Step "{step_id}" is a plain function, called in an async one.'
                    " Declare it with async def and await it."
                )
            return tools.run(step_id, bound)

        return call

    return decorate
