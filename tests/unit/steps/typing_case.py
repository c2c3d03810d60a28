"""Checked by ``test_typing.py``; lines marked ``# error`` must be refused, all others not."""

from __future__ import annotations

import functools
from typing import TypedDict, assert_type

import inngest_django as inngest


class Shape(TypedDict):
    a: int


client = inngest.Inngest(app_id="typing")
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
    await ctx.step.run("x", two, "1", "b")  # error
    await ctx.step.run("x", two, 1)  # error
    await ctx.step.run(5, a_bool)  # error
    assert_type(await ctx.step.transaction("t", plain_int), int)
    assert_type(await ctx.step.wait_for_event("w", event="x", timeout="2d"), inngest.Event | None)
    both = await ctx.group.parallel(
        (lambda: ctx.step.run("b", a_bool), lambda: ctx.step.run("c", a_bool))
    )
    assert_type(both[0], bool)
    assert_type(await ctx.step.send_event("s", inngest.Event(name="x")), list[str])


@client.create_function(fn_id="plain", trigger=[trigger])
def plain(ctx: inngest.ContextSync) -> None:
    assert_type(ctx.step.run("x", plain_int), int)
    assert_type(ctx.step.run("x", plain_dict), dict[str, int])
    assert_type(ctx.step.run("x", plain_two, 1, "b"), float)
    assert_type(ctx.step.run("x", plain_two, 1, "b", b"c"), float)
    ctx.step.run("x", plain_two, "1", "b")  # error
    ctx.step.sleep("x", 1.5)  # error
    quotes = ctx.group.parallel(
        tuple(functools.partial(ctx.step.run, f"ask-{c}", plain_two, 1, c) for c in ("n", "s"))
    )
    assert_type(min(quotes), float)
    texts: dict[str, str] = {"a": "b"}
    inngest.Event(name="x", data=texts)
    ctx.step.invoke("i", function=asynchronous, data={"a": 1})["x"]


@client.create_function(
    fn_id="options",
    trigger=trigger,
    middleware=[inngest.MiddlewareSync],
    on_failure=lambda ctx: None,
    throttle=inngest.Throttle(limit=1, period="1h"),
)
def options(ctx: inngest.ContextSync) -> str:
    return ctx.run_id
