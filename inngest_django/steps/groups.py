"""The tools of ``ctx.group``."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar, overload

from inngest_django.errors import StepUsageError
from inngest_django.steps.calling import run_now
from inngest_django.steps.tools import Host

_T = TypeVar("_T")
_T2 = TypeVar("_T2")
_T3 = TypeVar("_T3")
_T4 = TypeVar("_T4")
_T5 = TypeVar("_T5")


class ParallelMode(enum.Enum):
    """How the branches of a parallel group advance."""

    WAIT = "wait"  # In lockstep: all steps of one round end before the next begins.
    RACE = "race"  # Each on its own.


class GroupSync:
    """The group tools of a plain function."""

    def __init__(self, host: Host) -> None:
        self._host = host

    @overload
    def parallel(
        self, callables: tuple[Callable[[], _T]], parallel_mode: ParallelMode = ...
    ) -> tuple[_T]: ...

    @overload
    def parallel(
        self,
        callables: tuple[Callable[[], _T], Callable[[], _T2]],
        parallel_mode: ParallelMode = ...,
    ) -> tuple[_T, _T2]: ...

    @overload
    def parallel(
        self,
        callables: tuple[Callable[[], _T], Callable[[], _T2], Callable[[], _T3]],
        parallel_mode: ParallelMode = ...,
    ) -> tuple[_T, _T2, _T3]: ...

    @overload
    def parallel(
        self,
        callables: tuple[Callable[[], _T], Callable[[], _T2], Callable[[], _T3], Callable[[], _T4]],
        parallel_mode: ParallelMode = ...,
    ) -> tuple[_T, _T2, _T3, _T4]: ...

    @overload
    def parallel(
        self,
        callables: tuple[
            Callable[[], _T],
            Callable[[], _T2],
            Callable[[], _T3],
            Callable[[], _T4],
            Callable[[], _T5],
        ],
        parallel_mode: ParallelMode = ...,
    ) -> tuple[_T, _T2, _T3, _T4, _T5]: ...

    @overload
    def parallel(
        self, callables: Iterable[Callable[[], _T]], parallel_mode: ParallelMode = ...
    ) -> tuple[_T, ...]: ...

    def parallel(
        self,
        callables: Iterable[Callable[[], Any]],
        parallel_mode: ParallelMode = ParallelMode.WAIT,
    ) -> tuple[Any, ...]:
        """Run the steps of several branches independently; return their results in order."""
        return run_now(self._host.parallel(_branches(callables), is_race=_is_race(parallel_mode)))


class Group:
    """The group tools of an async function."""

    def __init__(self, host: Host) -> None:
        self._host = host

    @overload
    async def parallel(
        self, callables: tuple[Callable[[], Awaitable[_T]]], parallel_mode: ParallelMode = ...
    ) -> tuple[_T]: ...

    @overload
    async def parallel(
        self,
        callables: tuple[Callable[[], Awaitable[_T]], Callable[[], Awaitable[_T2]]],
        parallel_mode: ParallelMode = ...,
    ) -> tuple[_T, _T2]: ...

    @overload
    async def parallel(
        self,
        callables: tuple[
            Callable[[], Awaitable[_T]], Callable[[], Awaitable[_T2]], Callable[[], Awaitable[_T3]]
        ],
        parallel_mode: ParallelMode = ...,
    ) -> tuple[_T, _T2, _T3]: ...

    @overload
    async def parallel(
        self,
        callables: tuple[
            Callable[[], Awaitable[_T]],
            Callable[[], Awaitable[_T2]],
            Callable[[], Awaitable[_T3]],
            Callable[[], Awaitable[_T4]],
        ],
        parallel_mode: ParallelMode = ...,
    ) -> tuple[_T, _T2, _T3, _T4]: ...

    @overload
    async def parallel(
        self,
        callables: tuple[
            Callable[[], Awaitable[_T]],
            Callable[[], Awaitable[_T2]],
            Callable[[], Awaitable[_T3]],
            Callable[[], Awaitable[_T4]],
            Callable[[], Awaitable[_T5]],
        ],
        parallel_mode: ParallelMode = ...,
    ) -> tuple[_T, _T2, _T3, _T4, _T5]: ...

    @overload
    async def parallel(
        self, callables: Iterable[Callable[[], Awaitable[_T]]], parallel_mode: ParallelMode = ...
    ) -> tuple[_T, ...]: ...

    async def parallel(
        self,
        callables: Iterable[Callable[[], Awaitable[Any]]],
        parallel_mode: ParallelMode = ParallelMode.WAIT,
    ) -> tuple[Any, ...]:
        """Run the steps of several branches independently; return their results in order."""
        return await self._host.parallel(_branches(callables), is_race=_is_race(parallel_mode))


def _branches(callables: Iterable[Callable[[], Any]]) -> tuple[Callable[[], Any], ...]:
    try:
        branches = tuple(callables)
    except TypeError:
        branches = (callables,)  # type: ignore[assignment]  # named by the error below
    for branch in branches:
        if not callable(branch):
            raise StepUsageError(
                f"ctx.group.parallel takes callables without arguments, got {branch!r}."
                " Wrap a step call in a lambda or functools.partial."
            )
    return branches


def _is_race(mode: ParallelMode) -> bool:
    if not isinstance(mode, ParallelMode):
        raise StepUsageError(f"parallel_mode must be a ParallelMode, got {mode!r}.")
    return mode is ParallelMode.RACE
