"""The load: functions that return the same whatever breaks.

Each body leaves a mark in the ledger when it begins; ``step.transaction`` bodies also leave a
row in the app's own database.
"""

from __future__ import annotations

import functools
import time
from typing import Any

from django.db import connections

from inngest_django.client import Inngest
from inngest_django.errors import StepError
from inngest_django.events import Event
from inngest_django.functions.triggers import TriggerEvent
from inngest_django.models.base import alias
from inngest_django.steps.context import Context, ContextSync
from inngest_django.testing.chaos import handover
from inngest_django.testing.chaos.ledger import Ledger

PREFIX = "inngest-chaos"
EFFECTS_TABLE = "inngest_chaos_effect"
client = Inngest(app_id=PREFIX, is_production=False)

# A fault that hits a step charges an attempt, and a session may hit one often.
_RETRIES = 20
_WORK = 0.02  # Seconds; a body that takes none is never hit.


@functools.cache
def _ledger() -> Ledger:
    return Ledger(handover.received().ledger)


def _body(run_id: str, name: str, value: object = None) -> Any:
    _ledger().note(run_id, f"begin {name}")
    time.sleep(_WORK)  # noqa: TID251 - the work
    return value


def _write(run_id: str, name: str, value: object) -> Any:
    with connections[alias()].cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {EFFECTS_TABLE} (run_id, step) VALUES (%s, %s)",  # noqa: S608
            (run_id, name),
        )
    return _body(run_id, name, value)


def _sync(ctx: ContextSync, name: str, value: object = None) -> Any:
    return ctx.step.run(name, _body, ctx.run_id, name, value)


def _flaky(ctx: ContextSync, name: str, value: object) -> Any:
    def flaky() -> object:
        _body(ctx.run_id, name)
        if ctx.attempt == 0:
            raise ConnectionError("not yet")
        return value

    return ctx.step.run(name, flaky)


@client.create_function(
    fn_id="sequence", trigger=TriggerEvent(event=f"{PREFIX}/sequence"), retries=_RETRIES
)
def sequence(ctx: ContextSync) -> list[Any]:
    """Steps, transactions, a retry and a sleep in a row."""
    one = _sync(ctx, "one", 1)
    write = ctx.step.transaction("write", _write, ctx.run_id, "write", "w")
    flaky = _flaky(ctx, "flaky", "at last")
    ctx.step.sleep("rest", "1s")
    again = ctx.step.transaction("write again", _write, ctx.run_id, "write again", "W")
    return [one, write, flaky, again, _sync(ctx, "two", 2)]


@client.create_function(
    fn_id="group", trigger=TriggerEvent(event=f"{PREFIX}/group"), retries=_RETRIES
)
def group(ctx: ContextSync) -> list[Any]:
    """A parallel group of each kind, and what follows its join."""
    sides = ctx.group.parallel(
        (
            lambda: _sync(ctx, "left", "l"),
            lambda: _flaky(ctx, "right", "r"),
            lambda: ctx.step.transaction("side", _write, ctx.run_id, "side", "s"),
            lambda: ctx.step.sleep("pause", "1s"),
        )
    )
    return [*sides, _sync(ctx, "joined", "j")]


@client.create_function(
    fn_id="waiter", trigger=TriggerEvent(event=f"{PREFIX}/waiter"), retries=_RETRIES
)
def waiter(ctx: ContextSync) -> list[Any]:
    """A wait that is answered and one that times out."""
    _sync(ctx, "before")
    answer = ctx.step.wait_for_event(
        "answer",
        event=f"{PREFIX}/answered",
        timeout="1h",
        if_exp="event.data.key == async.data.key",
        # Whenever the sender sends it: before this step is reached or after.
        lookback="run",
    )
    nothing = ctx.step.wait_for_event("nothing", event=f"{PREFIX}/never", timeout="1s")
    return [answer is not None and answer.data["text"], nothing, _sync(ctx, "after", "a")]


@client.create_function(
    fn_id="child", trigger=TriggerEvent(event=f"{PREFIX}/child"), retries=_RETRIES
)
async def child(ctx: Context) -> int:
    """What the parent invokes."""
    number = int(str(ctx.event.data["number"]))
    return int(await ctx.step.run("square", _body, ctx.run_id, "square", number**2))


@client.create_function(
    fn_id="parent", trigger=TriggerEvent(event=f"{PREFIX}/parent"), retries=_RETRIES
)
async def parent(ctx: Context) -> int:
    """An invoke, and an event sent by a step."""
    squared = await ctx.step.invoke("call", function=child, data={"number": 7})
    await ctx.step.send_event("announce", Event(name=f"{PREFIX}/announced"))
    return int(await ctx.step.run("keep", _body, ctx.run_id, "keep", squared + 1))


def mourn(ctx: ContextSync) -> str:
    """The failure handler."""
    return str(_sync(ctx, "mourn", "mourned"))


@client.create_function(
    fn_id="failing",
    trigger=TriggerEvent(event=f"{PREFIX}/failing"),
    retries=1,
    on_failure=mourn,
)
def failing(ctx: ContextSync) -> None:
    """A step that fails, is noticed, and fails the run."""

    def never() -> None:
        _body(ctx.run_id, "never")
        raise ValueError("as always")

    try:
        ctx.step.run("never", never)
    except StepError:
        _sync(ctx, "noticed")
        raise


@client.create_function(
    fn_id="express",
    trigger=TriggerEvent(event=f"{PREFIX}/express"),
    retries=_RETRIES,
    checkpointing=True,
)
def express(ctx: ContextSync) -> list[Any]:
    """Steps that one task goes through."""
    return [
        _sync(ctx, "one", 1),
        _sync(ctx, "two", 2),
        ctx.step.transaction("write", _write, ctx.run_id, "write", "w"),
        _sync(ctx, "three", 3),
    ]


ALL = (sequence, group, waiter, child, parent, failing, express)
# What the sender sends; each event starts the function that is named like it.
SENT = ("sequence", "group", "waiter", "parent", "failing", "express")
# Runs that a run leads to, by function.
LEADS_TO = {"parent": "child", "failing": "failing-failure"}
# How every run ends when nothing breaks: its status and output.
OUTCOMES: dict[str, tuple[str, object]] = {
    "sequence": ("completed", [1, "w", "at last", "W", 2]),
    "group": ("completed", ["l", "r", "s", None, "j"]),
    "waiter": ("completed", ["yes", None, "a"]),
    "child": ("completed", 49),
    "parent": ("completed", 50),
    "failing": ("failed", None),
    "failing-failure": ("completed", "mourned"),
    "express": ("completed", [1, 2, "w", 3]),
}
# And its steps with their statuses.
STEPS: dict[str, dict[str, str]] = {
    "sequence": dict.fromkeys(("one", "write", "flaky", "rest", "write again", "two"), "completed"),
    "group": dict.fromkeys(("left", "right", "side", "pause", "joined"), "completed"),
    "waiter": {
        "before": "completed",
        "answer": "completed",
        "nothing": "timed_out",
        "after": "completed",
    },
    "child": {"square": "completed"},
    "parent": dict.fromkeys(("call", "announce", "keep"), "completed"),
    "failing": {"never": "failed", "noticed": "completed"},
    "failing-failure": {"mourn": "completed"},
    "express": dict.fromkeys(("one", "two", "write", "three"), "completed"),
}
EFFECTS: dict[str, tuple[str, ...]] = {
    "sequence": ("write", "write again"),
    "group": ("side",),
    "express": ("write",),
}
