"""Handlers with and without mistakes in which steps they call, and where.

A comment ``finds`` with the id of a check marks a line in which it finds something; nothing
else may be found.
"""
# ruff: noqa: RUF034, SIM114

from __future__ import annotations

import functools
import time
from typing import Any

from inngest_django import Context, ContextSync, Event, Inngest, StepError
from inngest_django.experimental import get_step_context, step

client = Inngest(app_id="cases", is_production=False)
PAY = "pay"


def body(*args: Any) -> Any:
    return args


# One id twice ----------------------------------------------------------------------------


def twice(ctx: ContextSync) -> Any:
    ctx.step.run("a", body)
    ctx.step.sleep("a", 1000)  # finds W010
    ctx.step.run("b", body)


async def twice_async(ctx: Context) -> Any:
    await ctx.step.run("a", body)
    if ctx.event.data["x"]:
        await ctx.step.run("a", body)  # finds W010


def twice_by_constant(ctx: ContextSync) -> Any:
    ctx.step.run(PAY, body)
    ctx.step.run("pay", body)  # finds W010


def twice_in_a_group(ctx: ContextSync) -> Any:
    return ctx.group.parallel(
        (
            lambda: ctx.step.run("a", body),
            lambda: ctx.step.run("a", body),  # finds W010
            functools.partial(ctx.step.run, "a", body),  # finds W010
        )
    )


def twice_by_keyword_and_alias(ctx: ContextSync) -> Any:
    tools = ctx.step
    run = tools.run
    run("a", body)
    tools.run(step_id="a", handler=body)  # finds W010


def again_after_failure(ctx: ContextSync) -> Any:
    try:
        ctx.step.run("a", body)
    except StepError:
        ctx.step.run("a", body)  # finds W010


def _pay(ctx: ContextSync, amount: int) -> Any:
    return ctx.step.run("pay", body, amount)


def twice_through_a_helper(ctx: ContextSync) -> Any:
    _pay(ctx, 1)
    ctx.step.run("pay", body)  # finds W010


def one_helper_for_two_places(ctx: ContextSync) -> Any:
    _pay(ctx, 1)
    _pay(ctx, 2)


@step("decorated")
def _decorated() -> int:
    return 1


def twice_decorated(ctx: ContextSync) -> Any:
    _decorated()
    ctx.step.run("decorated", body)  # finds W010


def loops_count_up(ctx: ContextSync) -> Any:
    for _ in range(3):
        ctx.step.run("a", body)
    while ctx.step.run("b", body):
        ctx.step.run("a", body)
    [ctx.step.run("c", body) for _ in range(3)]
    ctx.group.parallel(functools.partial(ctx.step.run, "d", body) for _ in range(3))
    ctx.group.parallel([lambda: ctx.step.run("d", body) for _ in range(3)])


def branches_exclude_each_other(ctx: ContextSync) -> Any:
    if ctx.event.data["x"]:
        ctx.step.run("a", body)
    elif ctx.event.data["y"]:
        ctx.step.run("a", body)
    else:
        ctx.step.run("a", body)
    match ctx.event.name:
        case "x":
            ctx.step.run("b", body)
        case _:
            ctx.step.run("b", body)
    return ctx.step.run("c", body) if ctx.event.data["z"] else ctx.step.run("c", body)


def branches_that_end(ctx: ContextSync) -> Any:
    if ctx.event.data["x"]:
        if ctx.event.data["y"]:
            return ctx.step.run("a", body)
        ctx.step.run("b", body)
    for _ in range(3):
        if ctx.event.data["z"]:
            return ctx.step.run("a", body)
    match ctx.event.name:
        case "x":
            return ctx.step.run("a", body)
        case "y":
            ctx.step.run("c", body)
            raise ValueError
        case _:
            pass
    ctx.step.run("c", body)
    return ctx.step.run("a", body)


def branches_of_a_try(ctx: ContextSync) -> Any:
    try:
        ctx.step.run("a", body)
    except StepError:
        ctx.step.run("b", body)
    except ValueError:
        ctx.step.run("b", body)
    else:
        ctx.step.run("b", body)
    return ctx.step.run("b", body)  # finds W010


def raise_that_is_caught(ctx: ContextSync) -> Any:
    try:
        if ctx.event.data["x"]:
            ctx.step.run("a", body)
            raise ValueError
    except ValueError:
        pass
    return ctx.step.run("a", body)  # finds W010


def unknown_ids(ctx: ContextSync) -> Any:
    name = ctx.event.data["name"]
    ctx.step.run(name, body)
    ctx.step.run(name, body)
    ctx.step.run(f"copy {name}", body)
    ctx.step.run(f"copy {name}", body)


def shadowed(ctx: ContextSync) -> Any:
    def inner(ctx: Any) -> Any:
        return ctx.step.run("a", body)

    inner(object())
    return ctx.step.run("a", body)


def allowed(ctx: ContextSync) -> Any:
    ctx.step.run("a", body)
    ctx.step.run("a", body)  # inngest: allow W010
    ctx.step.run("a", body)  # inngest: allow W011 - another one # finds W010


def allowed_in_all(ctx: ContextSync) -> Any:  # inngest: allow W013, W010
    ctx.step.run("a", body)
    time.time()
    ctx.step.run("a", body)


# A step in a step --------------------------------------------------------------------------


def nested(ctx: ContextSync) -> Any:
    ctx.step.run("outer", lambda: ctx.step.run("inner", body))  # finds W011

    def outer() -> None:
        ctx.step.sleep("inner", 1000)  # finds W011

    ctx.step.transaction("outer 2", outer)
    ctx.step.run("outer 3", _nested_by_argument, ctx)
    ctx.step.run("outer 4", functools.partial(_nested_by_argument, ctx))


def _nested_by_argument(ctx: ContextSync) -> Any:
    return ctx.step.run("inner", body)  # finds W011


async def nested_async(ctx: Context) -> Any:
    async def outer() -> Any:
        return await ctx.group.parallel(())  # finds W011

    await ctx.step.run("outer", outer)


def nested_decorated(ctx: ContextSync) -> Any:
    ctx.step.run("outer", _decorated)  # finds W011


def not_nested(ctx: ContextSync) -> Any:
    ctx.step.run("outer", body, ctx.step.run("argument", body))
    ctx.step.run("outer 2", _makes_a_body(ctx.step.run("before", body)))

    def branch() -> Any:
        return ctx.step.run("in a branch", body)

    return ctx.group.parallel((branch,))


def _makes_a_body(value: Any) -> Any:
    return lambda: value


# Unusual --------------------------------------------------------------------------------------


def by_step_context(ctx: ContextSync) -> Any:
    get_step_context().run("a", body)
    tools = get_step_context()
    tools.run("a", body)  # finds W010


def calls_itself(ctx: ContextSync) -> Any:
    def again(n: int) -> Any:
        return n and ctx.step.run("a", body) and again(n - 1)

    return again(3)


def never_called(ctx: ContextSync) -> Any:
    def somewhere() -> Any:
        client.send_sync(Event(name="x"))
        return ctx.step.run("a", body)

    body(somewhere, lambda: ctx.step.run("a", body))
    return ctx.step.run("a", body)


def no_context() -> Any:
    return None
