"""The functions that run while things break, one or two of each kind of step.

What they return depends on nothing that a fault changes. Each body leaves a mark in the
outside ledger when it begins and when it ends, and does to its worker what the event's
``fault`` asks for, the first time only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

from django.db import connections

from inngest_django import Context, ContextSync, Event, Inngest, StepError, TriggerEvent
from tests import ledger

__all__ = [
    "child",
    "express",
    "failing",
    "group",
    "parent",
    "sequence",
    "single",
    "stubborn",
    "waiter",
    "writer",
]

client = Inngest(app_id="faults", is_production=False)

_PATIENCE = 60.0
FREEZE = 6  # Seconds, three leases.


def perform(run_id: str, name: str, event: Mapping[str, Any], value: object) -> Any:
    """Be a body: mark the beginning, suffer what is asked for, mark the end."""
    ledger.note(run_id, f"begin {name}")
    faults = event.get("fault") or {}
    is_first = ledger.count(run_id, f"begin {name}") == 1
    if name in faults and (is_first or faults.get("always")):
        _FAULTS[faults[name]](run_id)
    ledger.note(run_id, f"end {name}")
    return value


def _kill(run_id: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop(run_id: str) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _hang(run_id: str) -> None:
    # Until the test says so; by then it has done what it wanted to this process.
    deadline = time.monotonic() + _PATIENCE
    while not ledger.count(run_id, "released"):
        if time.monotonic() > deadline:
            raise AssertionError("nobody released the body")
        time.sleep(0.05)


def _freeze(run_id: str) -> None:
    # As a library does that hangs with the interpreter's lock: no thread of this process runs,
    # neither the one that renews nor the one that notices the death of the parent.
    ctypes.PyDLL(None).usleep(FREEZE * 1_000_000)


_FAULTS: dict[str, Callable[[str], None]] = {
    "kill": _kill,
    "stop": _stop,
    "hang": _hang,
    "freeze": _freeze,
}


def _effect(run_id: str, step: str) -> None:
    # The app's own database: in step.transaction it commits with the result.
    with connections["default"].cursor() as cursor:
        cursor.execute("INSERT INTO fault_effect (run_id, step) VALUES (%s, %s)", (run_id, step))


def _sync(ctx: ContextSync, name: str, value: object = None) -> Any:
    return ctx.step.run(name, perform, ctx.run_id, name, ctx.event.data, value)


@client.create_function(fn_id="sequence", trigger=TriggerEvent(event="faults/sequence"), retries=4)
def sequence(ctx: ContextSync) -> list[Any]:
    def write(name: str) -> str:
        _effect(ctx.run_id, name)
        return str(perform(ctx.run_id, name, ctx.event.data, name))

    def flaky() -> str:
        perform(ctx.run_id, "flaky", ctx.event.data, None)
        if ctx.attempt == 0:
            raise ConnectionError("not yet")
        return "at last"

    return [
        _sync(ctx, "one", 1),
        ctx.step.transaction("write", write, "write"),
        ctx.step.run("flaky", flaky),
        ctx.step.transaction("write again", write, "write again"),
        _sync(ctx, "two", 2),
    ]


@client.create_function(fn_id="group", trigger=TriggerEvent(event="faults/group"))
def group(ctx: ContextSync) -> list[Any]:
    def flaky() -> str:
        perform(ctx.run_id, "right", ctx.event.data, None)
        if ctx.attempt == 0:
            raise ConnectionError("not yet")
        return "r"

    def write() -> str:
        _effect(ctx.run_id, "side")
        return str(perform(ctx.run_id, "side", ctx.event.data, "s"))

    sides = ctx.group.parallel(
        (
            lambda: _sync(ctx, "left", "l"),
            lambda: ctx.step.run("right", flaky),
            lambda: ctx.step.transaction("side", write),
            lambda: ctx.step.sleep("pause", "1s"),
        )
    )
    return [*sides, _sync(ctx, "joined", "j")]


@client.create_function(fn_id="waiter", trigger=TriggerEvent(event="faults/waiter"))
def waiter(ctx: ContextSync) -> list[Any]:
    _sync(ctx, "before")
    answer = ctx.step.wait_for_event(
        "answer",
        event="faults/answered",
        timeout="5m",
        if_exp="event.data.key == async.data.key",
        # Whenever the test sends it: before this step is reached or after.
        lookback="run",
    )
    nothing = ctx.step.wait_for_event("nothing", event="faults/never", timeout="1s")
    return [answer is not None and answer.data["text"], nothing, _sync(ctx, "after", "a")]


@client.create_function(fn_id="child", trigger=TriggerEvent(event="faults/child"))
async def child(ctx: Context) -> int:
    number = int(ctx.event.data["number"])
    return int(
        await ctx.step.run("square", perform, ctx.run_id, "square", ctx.event.data, number**2)
    )


@client.create_function(fn_id="parent", trigger=TriggerEvent(event="faults/parent"))
async def parent(ctx: Context) -> int:
    squared = await ctx.step.invoke("call", function=child, data={"number": 7})
    await ctx.step.send_event("announce", Event(name="faults/announced", data={"run": ctx.run_id}))
    return int(await ctx.step.run("keep", perform, ctx.run_id, "keep", ctx.event.data, squared + 1))


def mourn(ctx: ContextSync) -> str:
    return str(ctx.step.run("mourn", perform, ctx.run_id, "mourn", {}, "mourned"))


@client.create_function(
    fn_id="failing", trigger=TriggerEvent(event="faults/failing"), retries=1, on_failure=mourn
)
def failing(ctx: ContextSync) -> None:
    def never() -> None:
        perform(ctx.run_id, "never", ctx.event.data, None)
        raise ValueError("as always")

    try:
        ctx.step.run("never", never)
    except StepError:
        _sync(ctx, "noticed")
        raise


@client.create_function(
    fn_id="express", trigger=TriggerEvent(event="faults/express"), checkpointing=True
)
def express(ctx: ContextSync) -> list[Any]:
    def write() -> str:
        _effect(ctx.run_id, "write")
        return str(perform(ctx.run_id, "write", ctx.event.data, "write"))

    return [
        _sync(ctx, "one", 1),
        _sync(ctx, "two", 2),
        ctx.step.transaction("write", write),
        _sync(ctx, "three", 3),
    ]


# One body of each kind, for the tests that break one thing in it.


@client.create_function(fn_id="single", trigger=TriggerEvent(event="faults/single"), retries=3)
def single(ctx: ContextSync) -> dict[str, int]:
    def work() -> dict[str, int]:
        perform(ctx.run_id, "work", ctx.event.data, None)
        return {"pid": os.getpid(), "attempt": ctx.attempt}

    done: dict[str, int] = ctx.step.run("work", work)
    _sync(ctx, "after")
    return done


@client.create_function(fn_id="stubborn", trigger=TriggerEvent(event="faults/stubborn"), retries=0)
def stubborn(ctx: ContextSync) -> dict[str, int]:
    def work() -> dict[str, int]:
        perform(ctx.run_id, "work", ctx.event.data, None)
        return {"pid": os.getpid(), "attempt": ctx.attempt}

    return dict(ctx.step.run("work", work))


@client.create_function(fn_id="writer", trigger=TriggerEvent(event="faults/writer"), retries=3)
def writer(ctx: ContextSync) -> dict[str, int]:
    def work() -> dict[str, int]:
        _effect(ctx.run_id, "work")
        perform(ctx.run_id, "work", ctx.event.data, None)
        return {"pid": os.getpid(), "attempt": ctx.attempt}

    done: dict[str, int] = ctx.step.transaction("work", work)
    _sync(ctx, "after")
    return done


MIXED = {
    "faults/sequence": "faults-sequence",
    "faults/group": "faults-group",
    "faults/waiter": "faults-waiter",
    "faults/parent": "faults-parent",
    "faults/failing": "faults-failing",
    "faults/express": "faults-express",
}
# Every run that one event of each kind leads to, with its end.
OUTCOMES: dict[str, tuple[str, object]] = {
    "faults-sequence": ("completed", [1, "write", "at last", "write again", 2]),
    "faults-group": ("completed", ["l", "r", "s", None, "j"]),
    "faults-waiter": ("completed", ["yes", None, "a"]),
    "faults-parent": ("completed", 50),
    "faults-child": ("completed", 49),
    "faults-express": ("completed", [1, 2, "write", 3]),
    "faults-failing": ("failed", None),
    "faults-failing-failure": ("completed", "mourned"),
}
# Steps and their ends; of those with a body, how often it runs when nothing breaks.
STEPS: dict[str, dict[str, tuple[str, int]]] = {
    "faults-sequence": {
        "one": ("completed", 1),
        "write": ("completed", 1),
        "flaky": ("completed", 2),
        "write again": ("completed", 1),
        "two": ("completed", 1),
    },
    "faults-group": {
        "left": ("completed", 1),
        "right": ("completed", 2),
        "side": ("completed", 1),
        "pause": ("completed", 0),
        "joined": ("completed", 1),
    },
    "faults-waiter": {
        "before": ("completed", 1),
        "answer": ("completed", 0),
        "nothing": ("timed_out", 0),
        "after": ("completed", 1),
    },
    "faults-parent": {
        "call": ("completed", 0),
        "announce": ("completed", 0),
        "keep": ("completed", 1),
    },
    "faults-child": {"square": ("completed", 1)},
    "faults-express": {
        "one": ("completed", 1),
        "two": ("completed", 1),
        "write": ("completed", 1),
        "three": ("completed", 1),
    },
    "faults-failing": {"never": ("failed", 2), "noticed": ("completed", 1)},
    "faults-failing-failure": {"mourn": ("completed", 1)},
    "faults-single": {"work": ("completed", 1), "after": ("completed", 1)},
    "faults-stubborn": {"work": ("completed", 1)},
    "faults-writer": {"work": ("completed", 1), "after": ("completed", 1)},
}
EFFECTS: dict[str, tuple[str, ...]] = {
    "faults-sequence": ("write", "write again"),
    "faults-group": ("side",),
    "faults-express": ("write",),
    "faults-writer": ("work",),
}
