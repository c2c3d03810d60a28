"""Functions for the tests of the driver, plain and async from one description."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

from inngest_django.client import Inngest
from inngest_django.functions.function import Function
from inngest_django.functions.triggers import TriggerEvent

SILENT = logging.getLogger("tests.silent")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False

TRIGGER = TriggerEvent(event="test/event")


def make_client(**options: Any) -> Inngest:
    return Inngest(**{"app_id": "app", "is_production": False, "logger": SILENT, **options})


client = make_client()


def function(handler: Callable[..., Any], *, by: Inngest = client, **options: Any) -> Function:
    """Make a function; ``retries`` is 0 unless given, so that tests end at the first error."""
    options = {"fn_id": "fn", "trigger": TRIGGER, "retries": 0, **options}
    return by.create_function(**options)(handler)


class _Awaited:
    """Step and group tools of an async function that are called like the plain ones."""


def both(description: Callable[..., Any], **options: Any) -> list[Function]:
    """Make a plain and an async function of one description.

    The description is an async function of ``ctx`` that awaits every step. For the plain
    variant it gets a context whose tools are awaitable and never suspend, so that the plain
    tools run underneath.
    """

    def plain(ctx: Any) -> Any:
        original = ctx.step, ctx.group
        ctx.step, ctx.group = _Wrapped(ctx.step), _Wrapped(ctx.group)
        try:
            return drive(description(ctx))
        finally:
            ctx.step, ctx.group = original

    async def asynchronous(ctx: Any) -> Any:
        return await description(ctx)

    return [function(plain, **options), function(asynchronous, **options)]


def drive(coroutine: Any) -> Any:
    """Finish a coroutine that awaits nothing real."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it suspended")


class _Wrapped:
    def __init__(self, tools: Any) -> None:
        self._tools = tools

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._tools, name)
        if not callable(attribute):
            return attribute

        async def call(*args: Any, **kwargs: Any) -> Any:
            if name == "parallel":
                args = (tuple(plainly(c) for c in args[0]), *args[1:])
            elif name in ("run", "transaction"):
                args = (args[0], plainly(args[1]), *args[2:])
            return attribute(*args, **kwargs)

        return call


def plainly(callable_: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        value = callable_(*args)
        return drive(value) if inspect.iscoroutine(value) else value

    return call
