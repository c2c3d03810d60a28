"""Checked by ``test_typing.py``; lines marked ``# error`` must be refused, all others not."""

from __future__ import annotations

import functools
from typing import TypedDict, assert_type

import pydantic

import inngest_django as inngest


class Shape(TypedDict):
    a: int


class Order(pydantic.BaseModel):
    number: str
    total: int


client = inngest.Inngest(app_id="typing")
order_placed = inngest.EventType("shop/order.placed", Order)
trigger = inngest.TriggerEvent(event="e")


async def a_bool() -> bool:
    return True


async def a_shape() -> Shape:
    return {"a": 1}


async def a_list() -> list[str]:
    return []


async def a_none() -> None:
    return None


async def two(a: int, b: str) -> float:
    return a / len(b)


def plain_int() -> int:
    return 1


def plain_dict() -> dict[str, int]:
    return {}


def plain_two(a: int, b: str, c: bytes = b"") -> float:
    return a / len(b) + len(c)


@client.create_function(fn_id="async", trigger=trigger)
async def asynchronous(ctx: inngest.Context) -> None:
    assert_type(await ctx.step.run("x", a_bool), bool)
    assert_type(await ctx.step.run("x", a_shape), Shape)
    assert_type(await ctx.step.run("x", a_list), list[str])
    assert_type(await ctx.step.run("x", a_none), None)
    assert_type(await ctx.step.run("x", plain_int), int)
    assert_type(await ctx.step.run("x", two, 1, "b"), float)
    assert_type(await ctx.step.run("x", functools.partial(two, 1, b="x")), float)
    assert_type(await ctx.step.run("x", lambda: 5, output_type=int), int)
    assert_type(await ctx.step.run("x", lambda: 5), int)
    assert_type(await ctx.step.run("x", lambda: two(1, "b")), float)
    assert_type(await ctx.step.run("x", functools.partial(plain_two, 1, b="b")), float)
    await ctx.step.run("x", two, "1", "b")  # error
    await ctx.step.run("x", two, a=1, b="b")  # error
    await ctx.step.run("x", two, 1)  # error
    await ctx.step.run(5, a_bool)  # error
    assert_type(await ctx.step.transaction("t", plain_int), int)
    assert_type(await ctx.step.wait_for_event("w", event="x", timeout="2d"), inngest.Event | None)
    both = await ctx.group.parallel(
        (lambda: ctx.step.run("b", a_bool), lambda: ctx.step.run("c", a_bool))
    )
    assert_type(both, tuple[bool, bool])
    three = await ctx.group.parallel(
        (
            lambda: ctx.step.run("b", a_bool),
            lambda: ctx.step.run("c", plain_int),
            lambda: ctx.step.run("d", a_list),
        )
    )
    assert_type(three, tuple[bool, int, list[str]])

    async def ask(carrier: str) -> float:
        return await ctx.step.run(f"ask {carrier}", two, 1, carrier)

    quotes = await ctx.group.parallel([functools.partial(ask, name) for name in ("n", "s")])
    assert_type(quotes, tuple[float, ...])
    many = await ctx.group.parallel([lambda: ctx.step.run("e", a_bool)])
    assert_type(many, tuple[bool, ...])
    assert_type(await ctx.step.send_event("s", inngest.Event(name="x")), list[str])


@client.create_function(fn_id="plain", trigger=[trigger])
def plain(ctx: inngest.ContextSync) -> None:
    assert_type(ctx.step.run("x", plain_int), int)
    assert_type(ctx.step.run("x", plain_dict), dict[str, int])
    assert_type(ctx.step.run("x", plain_two, 1, "b"), float)
    assert_type(ctx.step.run("x", plain_two, 1, "b", b"c"), float)
    ctx.step.run("x", plain_two, "1", "b")  # error
    ctx.step.sleep("x", 1.5)  # error

    def ask(carrier: str) -> float:
        return ctx.step.run(f"ask {carrier}", plain_two, 1, carrier)

    quotes = ctx.group.parallel([functools.partial(ask, name) for name in ("n", "s")])
    assert_type(quotes, tuple[float, ...])
    assert_type(min(quotes), float)
    texts: dict[str, str] = {"a": "b"}
    inngest.Event(name="x", data=texts)
    pair = ctx.group.parallel(
        (lambda: ctx.step.run("p", plain_int), lambda: ctx.step.run("q", plain_dict))
    )
    assert_type(pair, tuple[int, dict[str, int]])
    assert_type(ctx.step.run("x", lambda: 5), int)
    assert_type(ctx.step.run("x", functools.partial(plain_two, 1, b="b")), float)
    ctx.step.run("x", plain_two, a=1, b="b")  # error
    assert_type(ctx.step.transaction("t", plain_two, 1, "b"), float)
    assert_type(ctx.step.wait_for_event("w", event="x", timeout="2d"), inngest.Event | None)
    assert_type(ctx.step.invoke("i", function=asynchronous, data={"a": 1}), None)
    assert_type(ctx.step.invoke("j", function=options), str)
    assert_type(ctx.step.invoke("k", function=typed_async, timeout="1h"), Shape)
    ctx.step.invoke("l", function=plain_int)  # error


@client.create_function(
    fn_id="options",
    trigger=trigger,
    middleware=[inngest.MiddlewareSync],
    on_failure=lambda ctx: None,
    throttle=inngest.Throttle(limit=1, period="1h"),
)
def options(ctx: inngest.ContextSync) -> str:
    return ctx.run_id


@client.create_function(fn_id="typed", trigger=inngest.TriggerEvent(event=order_placed))
def typed(ctx: inngest.ContextSync) -> int:
    order = order_placed.data(ctx.event)
    assert_type(order, Order)
    order_placed.event(Order(number="A", total=1))
    order_placed.event({"number": "A", "total": 1})
    order_placed.event(5)  # error
    order_placed.event(Order(number="A"))  # error
    inngest.EventType("x", int)  # error
    inngest.TriggerEvent(event=5)  # error
    inngest.TriggerEvent(event="x", expression=5)  # error
    return order.total


@client.create_function(fn_id="typed-async", trigger=trigger)
async def typed_async(ctx: inngest.Context) -> Shape:
    assert_type(await ctx.step.invoke("i", function=typed), int)
    assert_type(await ctx.step.invoke("j", function=typed_async), Shape)
    return {"a": await ctx.step.invoke("k", function=typed)}


def any_function(function: inngest.Function) -> str:
    return function.id


assert_type(typed, inngest.Function[int])
any_function(typed)
any_function(typed_async)
