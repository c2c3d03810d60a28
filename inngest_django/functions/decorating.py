"""What ``create_function`` returns, as type checkers see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, overload

from inngest_django.functions.function import Function
from inngest_django.steps.context import Context, ContextSync

_Output = TypeVar("_Output")


class Decorator(Protocol):
    """Makes a function of a handler, with the type of the handler's output."""

    @overload
    def __call__(self, handler: Callable[[Context], Awaitable[_Output]]) -> Function[_Output]: ...

    @overload
    def __call__(self, handler: Callable[[ContextSync], _Output]) -> Function[_Output]: ...
