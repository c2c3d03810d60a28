"""Handlers with and without mistakes between their steps; marked as in ``cases_of_steps``."""
# ruff: noqa: B012, DTZ003, DTZ005, DTZ011, E722, ICN001, SIM105

from __future__ import annotations

import asyncio
import contextlib
import datetime
import datetime as dt
import os
import random
import secrets
import time
import uuid
from datetime import datetime as moment
from typing import Any
from uuid import uuid4

from django.utils import timezone

from inngest_django import Context, ContextSync, Event, Inngest, StepError

client = Inngest(app_id="cases", is_production=False)


def body(*args: Any) -> Any:
    return args


# Sends --------------------------------------------------------------------------------------


def sends(ctx: ContextSync) -> Any:
    client.send_sync(Event(name="x"))  # finds W012
    ctx.step.run("a", lambda: client.send_sync(Event(name="x")))
    ctx.step.send_event("b", Event(name="x"))


async def sends_async(ctx: Context) -> Any:
    await client.send(Event(name="x"))  # finds W012

    async def inside() -> Any:
        return await client.send(Event(name="x"))

    await ctx.step.run("a", inside)


class Mailer:
    def send(self, text: str) -> None: ...


mailer = Mailer()


def sends_something_else(ctx: ContextSync) -> Any:
    mailer.send("x")
    ctx.step.run("a", body)


# Values that change ----------------------------------------------------------------------------


def changing(ctx: ContextSync) -> Any:
    found = [
        datetime.datetime.now(),  # finds W013
        dt.datetime.now(dt.UTC),  # finds W013
        moment.utcnow(),  # finds W013
        dt.date.today(),  # finds W013
        timezone.now(),  # finds W013
        timezone.localtime(),  # finds W013
        time.time(),  # finds W013
        time.monotonic(),  # finds W013
        random.random(),  # finds W013
        random.choice([1, 2]),  # finds W013
        uuid.uuid4(),  # finds W013
        uuid4().hex,  # finds W013
        secrets.token_hex(),  # finds W013
        secrets.choice([1, 2]),  # finds W013
        os.urandom(8),  # finds W013
    ]
    ctx.step.run("a", body, str(found))


def changing_in_an_id(ctx: ContextSync) -> Any:
    ctx.step.run(f"a {uuid4()}", body)  # finds W013
    ctx.step.run(f"b {uuid4()}", body)  # finds W013


def changing_imported_here(ctx: ContextSync) -> Any:
    from datetime import datetime as clock

    now = clock.now()  # finds W013
    ctx.step.run("a", body, str(now))


def _deadline(tools: Any) -> Any:
    end = dt.datetime.now(dt.UTC)  # finds W013
    tools.sleep_until("wait", end)


def changing_in_a_helper(ctx: ContextSync) -> Any:
    _deadline(ctx.step)


def changing_in_a_loop(ctx: ContextSync) -> Any:
    for item in ctx.event.data["items"]:
        ctx.step.run("a", body, item)
        time.time()  # finds W013


async def changing_async(ctx: Context) -> Any:
    now = timezone.now()  # finds W013
    return await ctx.step.run("a", body, now)


def changing_in_a_branch_of_a_group(ctx: ContextSync) -> Any:
    def branch() -> Any:
        value = random.random()  # finds W013
        return ctx.step.run("a", body, value)

    return ctx.group.parallel([branch])


def changes_nothing(ctx: ContextSync) -> Any:
    started = ctx.step.run("now", time.time)
    ctx.step.run("body", lambda: (datetime.datetime.now(), random.random(), uuid4()))
    ctx.step.sleep_until("wait", timezone.now() + dt.timedelta(days=1))
    ctx.step.run("argument", body, str(uuid4()))
    ctx.logger.info("at %s", time.time())
    seeded = random.Random(ctx.run_id)
    seeded.random()
    timezone.localtime(dt.datetime.fromisoformat(ctx.event.data["at"]))
    ctx.step.run("last", body, started)
    return {"at": str(timezone.now())}


def no_steps_no_replay(ctx: ContextSync) -> Any:
    return [random.random(), time.time()]


def another_random(ctx: ContextSync) -> Any:
    random = ctx.event.data["random"]
    random.random()
    ctx.step.run("a", body)


def changing_where_no_step_follows(ctx: ContextSync) -> Any:
    if ctx.event.data["x"]:
        return str(timezone.now())
    return ctx.step.run("a", body)


# What swallows ---------------------------------------------------------------------------------


def swallows(ctx: ContextSync) -> Any:
    try:
        ctx.step.run("a", body)
    except:  # finds W014
        pass
    try:
        ctx.step.run("b", body)
    except (ValueError, BaseException):  # finds W014
        raise RuntimeError from None
    with contextlib.suppress(BaseException):  # finds W014
        ctx.step.run("c", body)
    try:
        ctx.step.run("d", body)
    finally:
        ctx.step.run("e", body)  # finds W014


def returns_in_finally(ctx: ContextSync) -> Any:
    try:
        ctx.step.run("a", body)
    finally:
        return 1  # finds W014


def swallows_in_a_group(ctx: ContextSync) -> Any:
    def branch() -> Any:
        try:
            return ctx.step.run("a", body)
        except BaseException as error:  # finds W014
            return str(error)

    return ctx.group.parallel([branch])


async def swallows_in_gather(ctx: Context) -> Any:
    return await asyncio.gather(  # finds W014
        ctx.step.run("a", body), return_exceptions=True
    )


def lets_pass(ctx: ContextSync) -> Any:
    try:
        ctx.step.run("a", body)
    except Exception:
        pass
    try:
        ctx.step.run("b", body)
    except BaseException as error:
        ctx.logger.info("left by %s", error)
        raise
    try:
        body()
    except:
        pass
    with contextlib.suppress(StepError):
        ctx.step.run("c", body)
    try:
        ctx.step.run("d", body)
    finally:
        body()

    def inside() -> Any:
        try:
            return body()
        except:
            return None

    ctx.step.run("e", inside)
