"""Releases of one function, for the tests of ``inngest_check``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import inngest_django as inngest
from inngest_django import Inngest
from inngest_django.functions.function import Function

client = Inngest(app_id="deploy", is_production=False)
TRIGGER = inngest.TriggerEvent(event="deploy/go")
# The names of the bodies that ran.
ran: list[str] = []


def release(handler: Any, fn_id: str = "fn", **options: Any) -> Function:
    options = {"trigger": TRIGGER, "retries": 1, **options}
    return client.create_function(fn_id=fn_id, **options)(handler)


def note(name: str) -> Callable[[], str]:
    return lambda: ran.append(name) or name  # type: ignore[func-returns-value]


def old(ctx: Any) -> Any:
    ctx.step.run("charge", note("charge"))
    ctx.step.sleep("pause", "1d")
    return ctx.step.run("mail", note("mail"))


async def old_async(ctx: Any) -> Any:
    await ctx.step.run("charge", note("charge"))
    await ctx.step.sleep("pause", "1d")
    return await ctx.step.run("mail", note("mail"))


def renamed(ctx: Any) -> Any:
    ctx.step.run("charge card", note("charge card"))
    ctx.step.sleep("pause", "1d")
    return ctx.step.run("mail", note("mail"))


async def renamed_async(ctx: Any) -> Any:
    await ctx.step.run("charge card", note("charge card"))
    await ctx.step.sleep("pause", "1d")
    return await ctx.step.run("mail", note("mail"))


def without_pause(ctx: Any) -> Any:
    ctx.step.run("charge", note("charge"))
    return ctx.step.run("mail", note("mail"))


def only_charge(ctx: Any) -> Any:
    return ctx.step.run("charge", note("charge"))


def with_a_step_before(ctx: Any) -> Any:
    ctx.step.run("look", note("look"))
    ctx.step.run("charge", note("charge"))
    ctx.step.sleep("pause", "1d")
    return ctx.step.run("mail", note("mail"))


def without_charge(ctx: Any) -> Any:
    ctx.step.sleep("pause", "1d")
    return ctx.step.run("mail", note("mail"))


def reordered(ctx: Any) -> Any:
    ctx.step.sleep("pause", "1d")
    ctx.step.run("charge", note("charge"))
    return ctx.step.run("mail", note("mail"))


def with_more_behind(ctx: Any) -> Any:
    old(ctx)
    return ctx.step.run("survey", note("survey"))


def expects_more(ctx: Any) -> Any:
    receipt = ctx.step.run("charge", note("charge"))
    amount = receipt["amount"]
    ctx.step.sleep("pause", "1d")
    return amount


def another_kind(ctx: Any) -> Any:
    ctx.step.sleep("charge", "1h")
    ctx.step.sleep("pause", "1d")
    return ctx.step.run("mail", note("mail"))


def effects(result: Any) -> dict[str, tuple[str | None, int]]:
    [function] = result.json["functions"]
    return {
        effect["effect"]: (effect["step"], effect["run_count"]) for effect in function["effects"]
    }
