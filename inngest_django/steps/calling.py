"""One implementation for plain and async handlers.

All that happens around a handler is written as coroutines. For a plain handler they never
suspend and are driven on the spot, without an event loop; for an async one they run on its
loop, and plain code is sent to the thread that called the driver, whose database connection
the engine uses.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar, cast

from asgiref.sync import async_to_sync, sync_to_async

from inngest_django.errors import AsyncUnsupportedError

_T = TypeVar("_T")


class Calling(Protocol):
    """How code of the author's is called."""

    is_async: bool

    async def on_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a plain function on the thread that called the driver."""

    async def settled(self, value: Any) -> Any:
        """Return the value, or what it resolves to."""

    def from_thread(self, coroutine_function: Callable[..., Coroutine[Any, Any, _T]]) -> _T:
        """Run a coroutine function from inside ``on_thread``."""


class _Direct:
    is_async = False

    async def on_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)

    async def settled(self, value: Any) -> Any:
        return value

    def from_thread(self, coroutine_function: Callable[..., Coroutine[Any, Any, _T]]) -> _T:
        return run_now(coroutine_function())


class _OnLoop:
    is_async = True

    async def on_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        outcome = await sync_to_async(_contained, thread_sensitive=True)(function, *args)
        if isinstance(outcome, _Thrown):
            raise outcome.error
        return outcome

    async def settled(self, value: Any) -> Any:
        return await value if inspect.isawaitable(value) else value

    def from_thread(self, coroutine_function: Callable[..., Coroutine[Any, Any, _T]]) -> _T:
        return async_to_sync(coroutine_function)()


class _Thrown:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def _contained(function: Callable[..., Any], *args: Any) -> Any:
    # Carried as a value: a future refuses StopIteration, and SystemExit would end the thread
    # that serves the loop.
    try:
        return function(*args)
    except BaseException as error:  # noqa: BLE001 - raised again on the other side
        return _Thrown(error)


DIRECT: Calling = _Direct()
ON_LOOP: Calling = _OnLoop()


def run_now(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Return the result of a coroutine that never suspends.

    Raises:
        AsyncUnsupportedError: It did suspend.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return cast("_T", stop.value)
    coroutine.close()
    raise AsyncUnsupportedError(
        "Something asynchronous was met in a plain function. Declare the handler with async def."
    )


def is_async_callable(function: object) -> bool:
    """Whether calling it makes a coroutine, as far as can be told without calling."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or (
        not inspect.isroutine(function)
        and not inspect.isclass(function)
        and inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
    )
