"""Step arguments that cannot work fail the run at once; the message names what and where."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


@client.create_function(fn_id="bad-arguments-child", trigger=[])
def child(ctx: inngest.ContextSync) -> None:
    return None


_YEARS = dt.timedelta(days=367)
# What is called, the error's code, and texts that its message holds.
CALLS: dict[str, tuple[Any, str, list[str]]] = {
    "negative": (lambda s: s.sleep("s", -5), "duration_invalid", ["-5", "negative"]),
    "negative text": (lambda s: s.sleep("s", "-2h"), "duration_invalid", ["-2h", "negative"]),
    "over a year": (lambda s: s.sleep("s", _YEARS), "duration_invalid", ["366 days"]),
    "over a year, text": (lambda s: s.sleep("s", "53w"), "duration_invalid", ["53w", "366 days"]),
    "no duration": (lambda s: s.sleep("s", "soon"), "duration_invalid", ["'soon'"]),
    "a float": (lambda s: s.sleep("s", 1.5), "duration_invalid", ["1.5"]),
    "no date": (lambda s: s.sleep_until("s", "2026-02-30"), "duration_invalid", ["2026-02-30"]),
    "date far away": (
        lambda s: s.sleep_until("s", "2999-01-01"),
        "duration_invalid",
        ["2999", "366 days"],
    ),
    "date of a wrong type": (lambda s: s.sleep_until("s", 5), "duration_invalid", ["5"]),
    "wait: negative timeout": (
        lambda s: s.wait_for_event("s", event="x", timeout=-1),
        "duration_invalid",
        ["-1"],
    ),
    "wait: over a year": (
        lambda s: s.wait_for_event("s", event="x", timeout=_YEARS),
        "duration_invalid",
        ["366 days"],
    ),
    "wait: no expression": (
        lambda s: s.wait_for_event("s", event="x", timeout="1h", if_exp="event.data.x =="),
        "expression_invalid",
        ["event.data.x =="],
    ),
    "wait: unknown name": (
        lambda s: s.wait_for_event("s", event="x", timeout="1h", if_exp="evnt.data.x == 1"),
        "expression_invalid",
        ["evnt"],
    ),
    "wait: event without a name": (
        lambda s: s.wait_for_event("s", event="", timeout="1h"),
        "step_invalid",
        ["''"],
    ),
    "wait: lookback": (
        lambda s: s.wait_for_event("s", event="x", timeout="1h", lookback="ever"),
        "duration_invalid",
        ["'ever'"],
    ),
    "id: a number": (lambda s: s.run(5, lambda: None), "step_invalid", ["5", "str"]),
    "id: None": (lambda s: s.sleep(None, 1), "step_invalid", ["None"]),
    "run: no callable": (lambda s: s.run("s", "text"), "step_invalid", ["'text'", "callable"]),
    "invoke: no function": (lambda s: s.invoke("s", function=len), "step_invalid", ["len"]),
    "invoke: data": (
        lambda s: s.invoke("s", function=child, data=[1]),
        "event_invalid",
        ["[1]", "mapping"],
    ),
    "invoke: unserialisable": (
        lambda s: s.invoke("s", function=child, data={"x": object()}),
        "event_invalid",
        ["JSON"],
    ),
    "invoke: negative timeout": (
        lambda s: s.invoke("s", function=child, timeout=-1),
        "duration_invalid",
        ["-1"],
    ),
}


@client.create_function(
    fn_id="bad-arguments", trigger=inngest.TriggerEvent(event=event_name("bad-arguments"))
)
def bad(ctx: inngest.ContextSync) -> None:
    ledger.note(ctx.run_id, "entered")
    CALLS[str(ctx.event.data["call"])][0](ctx.step)


@client.create_function(
    fn_id="bad-arguments-async",
    trigger=inngest.TriggerEvent(event=event_name("bad-arguments-async")),
)
async def bad_async(ctx: inngest.Context) -> None:
    ledger.note(ctx.run_id, "entered")
    await CALLS[str(ctx.event.data["call"])][0](ctx.step)


@pytest.mark.parametrize("call", CALLS)
@both(bad, bad_async)
def test_the_run_fails_at_once(live: Live, function: inngest.Function, call: str) -> None:
    _, code, texts = CALLS[call]
    run = live.run(function, {"call": call})

    assert run.status == "failed"
    assert run.error["code"] == code
    for text in texts:
        assert text in run.error["message"]
    assert ledger.count(run.id, "entered") == 1
    assert not run.jobs.exists()


def test_the_message_names_function_and_step(live: Live) -> None:
    run = live.run(bad, {"call": "negative"})

    assert "functional-bad-arguments" in run.error["message"]
    assert '"s"' in run.error["message"]


@client.create_function(
    fn_id="unknown-target", trigger=inngest.TriggerEvent(event=event_name("unknown-target"))
)
def unknown_target(ctx: inngest.ContextSync) -> None:
    ctx.step.invoke_by_id("call", app_id="elsewhere", function_id="nothing")


def test_an_unknown_invoke_target(live: Live) -> None:
    run = live.run(unknown_target)

    assert run.status == "failed"
    assert run.error["message"] == "could not find function with ID: elsewhere-nothing"
    assert run.steps.get().status == "failed"
