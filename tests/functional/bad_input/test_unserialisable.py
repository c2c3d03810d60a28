"""What JSON cannot hold fails at once, named, whatever retries there are."""

from __future__ import annotations

from typing import Any

import pytest

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both

VALUES: dict[str, Any] = {
    "object": object,
    "set": lambda: {1, 2},
    "nan": lambda: float("nan"),
    "bytes": lambda: b"raw",
    "deep in a list": lambda: [[{"x": object()}]],
}


def _body(ctx: Any) -> Any:
    ledger.note(ctx.run_id, "body")
    return VALUES[ctx.event.data["value"]]()


@client.create_function(
    fn_id="unserialisable", trigger=inngest.TriggerEvent(event=event_name("unserialisable"))
)
def unserialisable(ctx: inngest.ContextSync) -> Any:
    if ctx.event.data["where"] == "function":
        return _body(ctx)
    return ctx.step.run("bad step", _body, ctx)


@client.create_function(
    fn_id="unserialisable-async",
    trigger=inngest.TriggerEvent(event=event_name("unserialisable-async")),
)
async def unserialisable_async(ctx: inngest.Context) -> Any:
    async def body() -> Any:
        return _body(ctx)

    if ctx.event.data["where"] == "function":
        return _body(ctx)
    return await ctx.step.run("bad step", body)


@pytest.mark.parametrize("value", VALUES)
@both(unserialisable, unserialisable_async)
def test_a_step(live: Live, function: inngest.Function, value: str) -> None:
    run = live.run(function, {"where": "step", "value": value})

    assert run.status == "failed"
    assert run.error["name"] == "OutputUnserializableError"
    assert run.error["message"] == '"bad step" returned unserializable data'
    assert ledger.count(run.id, "body") == 1


@both(unserialisable, unserialisable_async)
def test_a_function(live: Live, function: inngest.Function) -> None:
    run = live.run(function, {"where": "function", "value": "object"})

    assert run.status == "failed"
    assert run.error["code"] == "output_unserializable"
    assert run.error["message"] == "returned unserializable data"
    assert ledger.count(run.id, "body") == 1


@client.create_function(
    fn_id="unawaited", trigger=inngest.TriggerEvent(event=event_name("unawaited"))
)
def unawaited(ctx: inngest.ContextSync) -> Any:
    async def body() -> str:
        return "never"

    return ctx.step.run("coroutine", body)


def test_an_async_body_in_a_plain_function(live: Live) -> None:
    run = live.run(unawaited)

    assert run.status == "failed"
    assert run.error["name"] in ("OutputUnserializableError", "AsyncUnsupportedError")
