"""Stand-ins: answering a function's steps with chosen results instead of their own.

A function is copied with a handler whose step tools pass each step call through a ``Choose``
before the driver sees it. What stands in for a step is a step with a body, so that whatever
drives the function stores, retries and replays it like any other.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from inngest_django.errors import InngestError, StepError, StepUsageError, error_value
from inngest_django.events import Event
from inngest_django.functions.function import Function
from inngest_django.serialization import dumps, loads
from inngest_django.steps import current
from inngest_django.steps.calling import is_async_callable
from inngest_django.steps.context import Context, ContextSync
from inngest_django.steps.interrupts import Interrupt
from inngest_django.steps.specs import UNSET, BodySpec, InvokeSpec, Spec, WaitSpec
from inngest_django.steps.tools import Host, Step, StepSync

_MISSING = object()


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What a step call returns at once, without the driver seeing it."""

    value: Any


Choose = Callable[[Spec, int], Spec | Answer]


class _TimeoutType:
    """The type of ``TIMEOUT``."""

    def __repr__(self) -> str:
        return "TIMEOUT"


TIMEOUT = _TimeoutType()
"""As the chosen result of a wait or an invoke: the time was over first."""


class UnstubbedStepError(Exception):
    """A step was met that only an engine can answer, and no result was chosen for it."""

    def __init__(self, step_id: str) -> None:
        super().__init__(f"step {step_id} is not stubbed")


class InngestInvokeTimeoutError(InngestError):
    """What an invoke fails with when its time is over."""

    code = "step_errored"
    is_retriable = False


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ChosenSpec(BodySpec):
    """Stands in for a step: returns, or raises, what was chosen."""

    original: Spec

    def recorded_input(self) -> Any:
        """Return the input of the step that it stands in for."""
        return self.original.recorded_input()

    def result(self, value: Any, decoder: Any) -> Any:
        """Return what the original call returns for the chosen value."""
        return self.original.result(value, decoder)


def chosen(spec: Spec, value: Any) -> ChosenSpec:
    """Return what stands in for a step.

    Args:
        value: A result; ``TIMEOUT``; an ``Event`` for a wait; an exception to raise; or a
            callable, called in the place of the body with its arguments.

    Raises:
        StepUsageError: ``TIMEOUT`` for a step that has none.
    """
    args: tuple[Any, ...] = ()
    if value is TIMEOUT:
        handler: Callable[..., Any] = _timed_out(spec)
    elif isinstance(value, BaseException) or (
        isinstance(value, type) and issubclass(value, BaseException)
    ):
        handler = functools.partial(_raise, value)
    elif isinstance(spec, BodySpec) and callable(value):
        handler, args = value, spec.args
    else:
        handler = functools.partial(_give, _encoded(spec, value))
    return ChosenSpec(
        step_id=spec.step_id,
        handler=handler,
        args=args,
        output_type=spec.output_type if isinstance(spec, BodySpec) else UNSET,
        original=spec,
    )


def answer(spec: Spec, value: Any, function: Function) -> Any:
    """Return what a step call returns for a chosen result, or raise what it raises."""
    if value is TIMEOUT or isinstance(value, BaseException | type):
        value = chosen(spec, value).handler
    elif isinstance(spec, BodySpec) and callable(value):
        value = functools.partial(value, *spec.args)
    else:
        value = functools.partial(_give, _encoded(spec, value))
    try:
        found = value()
    except Exception as error:
        stored = error_value(error)
        raise StepError(stored["message"], stored["name"], stored["stack"]) from error
    if isinstance(spec, BodySpec):
        found = function.encode(found, spec.output_type)
    return spec.result(loads(dumps(found)), function)


def lookup(choices: Mapping[str, Any], spec: Spec, index: int) -> tuple[bool, Any]:
    """Return whether a step has a choice, and which: ``"a:1"`` is the second use of ``"a"``."""
    value = choices.get(f"{spec.step_id}:{index}", _MISSING)
    if value is _MISSING and isinstance(spec.step_id, str):
        value = choices.get(spec.step_id, _MISSING)
    return (False, None) if value is _MISSING else (True, value)


def around(
    spec: BodySpec, inside: Callable[[], contextlib.AbstractContextManager[None]]
) -> BodySpec:
    """Return the step with its body called inside a context manager."""
    handler: object = spec.handler
    if not callable(handler):
        return spec
    wrapped: Callable[..., Any]
    if is_async_callable(handler):

        async def wrapped_async(*args: Any) -> Any:
            with inside():
                return await handler(*args)

        wrapped = wrapped_async
    else:

        def wrapped_plain(*args: Any) -> Any:
            with inside():
                return handler(*args)

        wrapped = wrapped_plain
    return dataclasses.replace(spec, handler=wrapped)


class Scene:
    """A function whose steps are chosen, for one call or several.

    Attributes:
        function: To be given to a driver in the place of the original.
        refused: What ``choose`` raised; the call was given up, and its response means nothing.
        error: The last exception that left the handler.
    """

    def __init__(self, function: Function, choose: Choose) -> None:
        self.refused: Exception | None = None
        self.error: Exception | None = None
        self._original = function
        self._choose = choose
        self.function = copy.copy(function)
        self.function.handler = self._enter_async if function.is_handler_async else self._enter

    def _enter(self, ctx: ContextSync) -> Any:
        ctx.step = StepSync(self._host(ctx.step))
        with current.entered(ctx.step):
            try:
                return self._original.handler(ctx)
            except Exception as error:
                self.error = error
                raise

    async def _enter_async(self, ctx: Context) -> Any:
        ctx.step = Step(self._host(ctx.step))
        with current.entered(ctx.step):
            try:
                return await self._original.handler(ctx)
            except Exception as error:
                self.error = error
                raise

    def _host(self, tools: Step | StepSync) -> _Host:
        return _Host(tools._host, self)  # noqa: SLF001 - the call that the tools belong to

    def choose(self, spec: Spec, index: int) -> Spec | Answer:
        """Return what the driver is to see of a step call, or give the call up."""
        if self.refused is None:
            try:
                return self._choose(spec, index)
            except StepError:
                raise  # The chosen result is that the step failed.
            except Exception as error:  # noqa: BLE001 - the author's handler must not catch it
                self.refused = error
        raise Interrupt


class _Host:
    """The driver's call, as the step tools see it, with the choice in between."""

    def __init__(self, call: Host, scene: Scene) -> None:
        self._call = call
        self._scene = scene
        self._used: collections.Counter[str] = collections.Counter()
        self.app_id = call.app_id

    def recorded(self, step_id: str, output_type: object = UNSET) -> Any:  # noqa: ARG002
        return UNSET  # Each step is to be chosen for.

    async def meet(self, spec: Spec) -> Any:
        if isinstance(spec.step_id, str):
            index = self._used[spec.step_id]
            self._used[spec.step_id] += 1
            picked = self._scene.choose(spec, index)
            if isinstance(picked, Answer):
                return picked.value
            spec = picked
        return await self._call.meet(spec)

    async def parallel(
        self, callables: tuple[Callable[[], Any], ...], *, is_race: bool
    ) -> tuple[Any, ...]:
        return await self._call.parallel(callables, is_race=is_race)

    async def send(self, events: list[Event]) -> list[str]:
        return await self._call.send(events)

    def body_key(self) -> str:
        return self._call.body_key()


def _timed_out(spec: Spec) -> Callable[[], Any]:
    if isinstance(spec, WaitSpec):
        return functools.partial(_give, None)
    if isinstance(spec, InvokeSpec):
        return functools.partial(
            _raise,
            InngestInvokeTimeoutError("Timed out waiting for invoked function to complete"),
        )
    raise StepUsageError(
        f'Step "{spec.step_id}" cannot time out: TIMEOUT is for wait_for_event and invoke.'
        " Give it a result, or an exception to raise."
    )


def _encoded(spec: Spec, value: Any) -> Any:
    if isinstance(spec, WaitSpec) and isinstance(value, Event):
        return value.model_dump(mode="json")
    if isinstance(spec, InvokeSpec) and isinstance(spec.function, Function):
        return spec.function.encode_output(value)
    return value


def _give(value: Any, *_: Any) -> Any:
    return value


def _raise(error: BaseException | type[BaseException], *_: Any) -> Any:
    raise error
