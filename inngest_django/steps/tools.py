"""The tools of ``ctx.step``.

Each method says what is asked for; the call it belongs to (``Host``) decides whether that is
answered from a stored result, done now, or reported.
"""

from __future__ import annotations

import datetime as dt
import functools
import types
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar, TypeVarTuple, Unpack, cast, overload

from inngest_django.errors import StepUsageError
from inngest_django.events import JSON, Event
from inngest_django.steps.calling import run_now
from inngest_django.steps.specs import (
    UNSET,
    BodySpec,
    Invocable,
    InvokeSpec,
    SleepSpec,
    SleepUntilSpec,
    Spec,
    WaitSpec,
)

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")

Duration = int | dt.timedelta | str
Date = dt.datetime | dt.date | str
Lookback = Literal["run"] | Duration


class Host(Protocol):
    """The call that the tools belong to."""

    app_id: str

    def recorded(self, step_id: str, output_type: object = UNSET) -> Any:
        """Return the step's stored result, or ``UNSET`` when only ``meet`` can tell."""

    async def meet(self, spec: Spec) -> Any:
        """Return the step's result, raise its error, or interrupt the handler."""

    async def parallel(
        self, callables: tuple[Callable[[], Any], ...], *, is_race: bool
    ) -> tuple[Any, ...]:
        """Call every branch up to its first step without a result."""

    async def send(self, events: list[Event]) -> list[str]:
        """Send events through the function's middleware."""

    def body_key(self) -> str:
        """Return the idempotency key of the body that runs here."""


class _Tools:
    def __init__(self, host: Host) -> None:
        self._host = host

    @property
    def idempotency_key(self) -> str:
        """A text that is the same whenever this step's body runs in this run.

        Pass it to a remote service, so that a body that runs again does not act twice.

        Raises:
            OutsideStepError: Read outside a step's body.
        """
        return self._host.body_key()


class StepSync(_Tools):
    """The step tools of a plain function."""

    def run(
        self,
        step_id: str,
        handler: Callable[[Unpack[_Args]], _T],
        *handler_args: *_Args,
        output_type: object = UNSET,
    ) -> _T:
        """Run ``handler`` once and keep what it returns, as JSON.

        Args:
            step_id: Names the step in this function; repeated use counts up.
            handler_args: Passed to the handler; use ``functools.partial`` for keywords.
            output_type: With a client that has a serializer, the type to restore.
        """
        result: _T = self._host.recorded(step_id, output_type)
        if result is UNSET:
            spec = BodySpec(
                step_id=step_id, handler=handler, args=handler_args, output_type=output_type
            )
            result = run_now(self._host.meet(spec))
        return result

    def transaction(
        self,
        step_id: str,
        handler: Callable[[Unpack[_Args]], _T],
        *handler_args: *_Args,
    ) -> _T:
        """Run ``handler`` in a database transaction that also records its result.

        Its writes on the engine's database and the record exist together or not at all.
        """
        result: _T = self._host.recorded(step_id)
        if result is UNSET:
            spec = BodySpec(
                step_id=step_id, handler=handler, args=handler_args, is_transaction=True
            )
            result = run_now(self._host.meet(spec))
        return result

    def sleep(self, step_id: str, duration: Duration) -> None:
        """Pause the run; no worker is held. Milliseconds, a timedelta, or text (``"2d"``)."""
        if self._host.recorded(step_id) is UNSET:
            run_now(self._host.meet(SleepSpec(step_id=step_id, duration=duration)))

    def sleep_until(self, step_id: str, until: Date) -> None:
        """Pause the run until a moment; one in the past continues at once."""
        if self._host.recorded(step_id) is UNSET:
            run_now(self._host.meet(SleepUntilSpec(step_id=step_id, until=until)))

    def wait_for_event(
        self,
        step_id: str,
        *,
        event: str,
        timeout: Duration,
        if_exp: str | None = None,
        lookback: Lookback | None = None,
    ) -> Event | None:
        """Pause the run until a matching event arrives; None when the time is over.

        Args:
            if_exp: An expression; ``event`` is the run's own event, ``async`` the arriving one.
            lookback: Also consider events received before: within this duration, or with
                ``"run"`` since the run's own event.
        """
        return cast(
            "Event | None",
            run_now(
                self._host.meet(
                    WaitSpec(
                        step_id=step_id,
                        event=event,
                        timeout=timeout,
                        if_exp=if_exp,
                        lookback=lookback,
                    )
                )
            ),
        )

    def invoke(
        self,
        step_id: str,
        *,
        function: Invocable[_T],
        data: Mapping[str, JSON] | None = None,
        timeout: Duration | None = None,
        v: str | None = None,
    ) -> _T:
        """Run another function and return its output."""
        return cast("_T", run_now(self._host.meet(_invoke(step_id, function, data, timeout, v))))

    def invoke_by_id(
        self,
        step_id: str,
        *,
        function_id: str,
        app_id: str | None = None,
        data: Mapping[str, JSON] | None = None,
        timeout: Duration | None = None,
        v: str | None = None,
    ) -> Any:
        """Run another function, named by its id; ``app_id`` is this client's unless given."""
        qualified = _qualified(self._host, step_id, app_id, function_id)
        return run_now(
            self._host.meet(
                InvokeSpec(step_id=step_id, function_id=qualified, data=data, timeout=timeout, v=v)
            )
        )

    def send_event(self, step_id: str, events: Event | list[Event]) -> list[str]:
        """Send events once and return their ids."""
        host, many = self._host, _listed(events)

        def body() -> list[str]:
            return run_now(host.send(many))

        return cast("list[str]", run_now(host.meet(BodySpec(step_id=step_id, handler=body))))


class Step(_Tools):
    """The step tools of an async function."""

    @overload
    async def run(
        self,
        step_id: str,
        handler: Callable[[Unpack[_Args]], Awaitable[_T]],
        *handler_args: *_Args,
        output_type: object = ...,
    ) -> _T: ...

    @overload
    async def run(
        self,
        step_id: str,
        handler: Callable[[Unpack[_Args]], _T],
        *handler_args: *_Args,
        output_type: object = ...,
    ) -> _T: ...

    async def run(  # type: ignore[misc]  # mypy cannot relate *args of any type to a TypeVarTuple
        self,
        step_id: str,
        handler: Callable[..., Any],
        *handler_args: Any,
        output_type: object = UNSET,
    ) -> Any:
        """Run ``handler`` once and keep what it returns, as JSON.

        Args:
            step_id: Names the step in this function; repeated use counts up.
            handler: Async, or plain; a plain one runs on the worker's thread, where the
                database may be used.
            handler_args: Passed to the handler; use ``functools.partial`` for keywords.
            output_type: With a client that has a serializer, the type to restore.
        """
        result = self._host.recorded(step_id, output_type)
        if result is UNSET:
            result = await self._host.meet(
                BodySpec(
                    step_id=step_id, handler=handler, args=handler_args, output_type=output_type
                )
            )
        return result

    async def transaction(
        self,
        step_id: str,
        handler: Callable[[Unpack[_Args]], _T],
        *handler_args: *_Args,
    ) -> _T:
        """Run a plain ``handler`` in a database transaction that also records its result.

        Its writes on the engine's database and the record exist together or not at all.
        """
        result: _T = self._host.recorded(step_id)
        if result is UNSET:
            result = await self._host.meet(
                BodySpec(step_id=step_id, handler=handler, args=handler_args, is_transaction=True)
            )
        return result

    async def sleep(self, step_id: str, duration: Duration) -> None:
        """Pause the run; no worker is held. Milliseconds, a timedelta, or text (``"2d"``)."""
        if self._host.recorded(step_id) is UNSET:
            await self._host.meet(SleepSpec(step_id=step_id, duration=duration))

    async def sleep_until(self, step_id: str, until: Date) -> None:
        """Pause the run until a moment; one in the past continues at once."""
        if self._host.recorded(step_id) is UNSET:
            await self._host.meet(SleepUntilSpec(step_id=step_id, until=until))

    async def wait_for_event(
        self,
        step_id: str,
        *,
        event: str,
        timeout: Duration,
        if_exp: str | None = None,
        lookback: Lookback | None = None,
    ) -> Event | None:
        """Pause the run until a matching event arrives; None when the time is over.

        Args:
            if_exp: An expression; ``event`` is the run's own event, ``async`` the arriving one.
            lookback: Also consider events received before: within this duration, or with
                ``"run"`` since the run's own event.
        """
        result = await self._host.meet(
            WaitSpec(
                step_id=step_id, event=event, timeout=timeout, if_exp=if_exp, lookback=lookback
            )
        )
        return cast("Event | None", result)

    async def invoke(
        self,
        step_id: str,
        *,
        function: Invocable[_T],
        data: Mapping[str, JSON] | None = None,
        timeout: Duration | None = None,
        v: str | None = None,
    ) -> _T:
        """Run another function and return its output."""
        return cast("_T", await self._host.meet(_invoke(step_id, function, data, timeout, v)))

    async def invoke_by_id(
        self,
        step_id: str,
        *,
        function_id: str,
        app_id: str | None = None,
        data: Mapping[str, JSON] | None = None,
        timeout: Duration | None = None,
        v: str | None = None,
    ) -> Any:
        """Run another function, named by its id; ``app_id`` is this client's unless given."""
        qualified = _qualified(self._host, step_id, app_id, function_id)
        return await self._host.meet(
            InvokeSpec(step_id=step_id, function_id=qualified, data=data, timeout=timeout, v=v)
        )

    async def send_event(self, step_id: str, events: Event | list[Event]) -> list[str]:
        """Send events once and return their ids."""
        body = functools.partial(self._host.send, _listed(events))
        result = await self._host.meet(BodySpec(step_id=step_id, handler=body))
        return cast("list[str]", result)


def _listed(events: Event | list[Event]) -> list[Event]:
    return [events] if isinstance(events, Event) else list(events)


def _invoke(
    step_id: str,
    function: Invocable[Any],
    data: Mapping[str, JSON] | None,
    timeout: Duration | None,
    v: str | None,
) -> InvokeSpec:
    if not isinstance(getattr(function, "id", None), str) or not hasattr(function, "decode_output"):
        raise StepUsageError(
            f'Step "{step_id}" can invoke only a function made by create_function,'
            f" got {function!r}. Use invoke_by_id for one that is defined elsewhere."
        )
    return InvokeSpec(
        step_id=step_id,
        function_id=function.id,
        function=function,
        data=data,
        timeout=timeout,
        v=v,
    )


def _qualified(host: Host, step_id: str, app_id: str | None, function_id: str) -> str:
    if not isinstance(function_id, str) or not function_id:
        raise StepUsageError(f'Step "{step_id}" needs the id of a function, got {function_id!r}.')
    return f"{host.app_id if app_id is None else app_id}-{function_id}"


_RUNS = (StepSync.run, Step.run)


def steps_of(branches: Sequence[Callable[..., Any]], host: Host) -> list[str | None]:
    """Return for each branch of a group the id of the step that it is, if it is nothing else.

    That is ``functools.partial(ctx.step.run, id, handler)``: until it reaches the step it runs
    no code of the author's, so that nobody can tell whether it was called.
    """
    run: object = None
    found: list[str | None] = []
    for branch in branches:
        step_id = None
        if (
            type(branch) is functools.partial
            and type(branch.func) is types.MethodType
            and len(branch.args) > 1
            and type(branch.args[0]) is str
            and not branch.keywords
        ):
            # The same for all, mostly: looked at closely once.
            if branch.func != run and _is_run(branch.func, host):
                run = branch.func
            if branch.func == run:
                step_id = branch.args[0]
        found.append(step_id)
    return found


def _is_run(method: types.MethodType, host: Host) -> bool:
    tools = method.__self__
    is_its_own = isinstance(tools, _Tools) and tools._host is host  # noqa: SLF001 - of this module
    return is_its_own and method.__func__ in _RUNS
