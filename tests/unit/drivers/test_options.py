"""What sleeps, waits, invokes and sends report, and which arguments they refuse."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from inngest_django import clock
from inngest_django.drivers.base import Raised
from inngest_django.events import Event
from inngest_django.functions.function import Function
from inngest_django.states import OpKind
from tests.unit.drivers.harness import Engine, run
from tests.unit.drivers.support import both, function

NOW = dt.datetime(2026, 1, 15, 12, tzinfo=dt.UTC)
ZONE = dt.timezone(dt.timedelta(hours=2))


def reported(call: Any) -> Any:
    with clock.frozen(NOW):
        return Engine(function(call), time_zone=ZONE).call()


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (1500, 1500),
        (0, 0),
        ("1h30m", 5_400_000),
        (dt.timedelta(days=2), 172_800_000),
        (dt.timedelta(microseconds=1), 1),
        (dt.timedelta(days=366), 366 * 86_400_000),
    ],
)
def test_sleep_reports_milliseconds_rounded_up(duration: Any, expected: int) -> None:
    (op,) = reported(lambda ctx: ctx.step.sleep("s", duration)).ops

    assert (op.kind, op.opts) == (OpKind.SLEEP, {"duration_ms": expected})


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        (dt.datetime(2026, 2, 1, tzinfo=dt.UTC), "2026-02-01T00:00:00+00:00"),
        (dt.datetime(2026, 2, 1, 2), "2026-02-01T00:00:00+00:00"),  # noqa: DTZ001
        ("2026-02-01", "2026-01-31T22:00:00+00:00"),
        ("2026-02-0112:00:00", "2026-02-01T10:00:00+00:00"),
        (dt.datetime(1999, 1, 1, tzinfo=dt.UTC), "1999-01-01T00:00:00+00:00"),
    ],
)
def test_sleep_until_reports_the_moment_in_utc(until: Any, expected: str) -> None:
    (op,) = reported(lambda ctx: ctx.step.sleep_until("s", until)).ops

    assert op.opts == {"until": expected}


@pytest.mark.parametrize(
    ("call", "fragments"),
    [
        (lambda ctx: ctx.step.sleep("s", -1), ['"s"', '"app-fn"', "negative", "-1"]),
        (lambda ctx: ctx.step.sleep("s", dt.timedelta(days=367)), ['"s"', "366 days"]),
        (lambda ctx: ctx.step.sleep("s", "soon"), ['"s"', "'soon'"]),
        (lambda ctx: ctx.step.sleep("s", None), ['"s"', "None"]),
        (
            lambda ctx: ctx.step.sleep_until("s", dt.datetime(2027, 2, 1, tzinfo=dt.UTC)),
            ['"s"', "366 days", "2027-02-01"],
        ),
        (lambda ctx: ctx.step.sleep_until("s", "someday"), ['"s"', "'someday'"]),
        (lambda ctx: ctx.step.sleep_until("s", dt.datetime(1, 1, 1)), ['"s"', "UTC"]),  # noqa: DTZ001
        (lambda ctx: ctx.step.wait_for_event("s", event="x", timeout=None), ['"s"', "timeout"]),
        (lambda ctx: ctx.step.wait_for_event("s", event="x", timeout=-5), ['"s"', "-5"]),
        (lambda ctx: ctx.step.wait_for_event("s", event="", timeout=5), ['"s"', "event"]),
        (
            lambda ctx: ctx.step.wait_for_event("s", event="x", timeout=5, if_exp="a ="),
            ['"s"', '"app-fn"', "a ="],
        ),
        (
            lambda ctx: ctx.step.wait_for_event("s", event="x", timeout=5, lookback="x"),
            ['"s"', "lookback"],
        ),
        (lambda ctx: ctx.step.invoke("s", function="app-x"), ['"s"', "invoke_by_id"]),
        (lambda ctx: ctx.step.invoke_by_id("s", function_id=""), ['"s"', "id of a function"]),
        (
            lambda ctx: ctx.step.invoke_by_id("s", function_id="x", data={"a": object()}),
            ['"s"', "not JSON"],
        ),
        (lambda ctx: ctx.step.invoke_by_id("s", function_id="x", data=[1]), ['"s"', "mapping"]),
        (
            lambda ctx: ctx.step.invoke_by_id("s", function_id="x", data={"a": "x" * 5_000_000}),
            ['"s"', "4194304"],
        ),
        (lambda ctx: ctx.step.invoke_by_id("s", function_id="x", timeout="-1d"), ['"s"', "-1d"]),
    ],
)
def test_bad_argument_fails_at_once_and_names_function_step_and_value(
    call: Any, fragments: list[str]
) -> None:
    response = reported(call)

    assert isinstance(response, Raised)
    assert not response.is_retriable
    for fragment in fragments:
        assert fragment in response.error["message"]


@pytest.mark.parametrize(
    ("lookback", "expected"), [(None, None), ("run", "run"), ("1m", 60_000), (5, 5)]
)
def test_wait_reports_its_terms(lookback: Any, expected: Any) -> None:
    (op,) = reported(
        lambda ctx: ctx.step.wait_for_event(
            "w",
            event="a/b",
            timeout="2d",
            if_exp="event.data.id == async.data.id",
            lookback=lookback,
        )
    ).ops

    assert op.kind is OpKind.WAIT_FOR_EVENT
    assert op.opts == {
        "event": "a/b",
        "timeout_ms": 172_800_000,
        "if": "event.data.id == async.data.id",
        "lookback": expected,
    }


async def waits(ctx: Any) -> Any:
    found = await ctx.step.wait_for_event("w", event="a", timeout=5000)
    assert found is None or isinstance(found, Event)
    return None if found is None else [found.id, found.name, found.ts, found.data]


@pytest.mark.parametrize("fn", both(waits))
def test_wait_returns_the_event_or_none(fn: Function) -> None:
    event = {"id": "1", "name": "a", "ts": 5, "data": {"x": [1]}, "user": None}

    assert run(fn, answers={"w": event}).output == ["1", "a", 5, {"x": [1]}]
    assert run(fn).output is None


@pytest.mark.parametrize(("app_id", "expected"), [(None, "app-a/b"), ("other", "other-a/b")])
def test_invoke_by_id_qualifies_the_function(app_id: Any, expected: str) -> None:
    (op,) = reported(
        lambda ctx: ctx.step.invoke_by_id("i", app_id=app_id, function_id="a/b", data={"x": (1,)})
    ).ops

    assert op.opts == {"function_id": expected, "data": {"x": (1,)}, "timeout_ms": None}


def test_invoke_by_object_uses_the_functions_own_id() -> None:
    from tests.unit.drivers.support import make_client

    other = function(lambda ctx: None, by=make_client(app_id="elsewhere"), fn_id="child")

    (op,) = reported(lambda ctx: ctx.step.invoke("i", function=other)).ops

    assert op.opts["function_id"] == "elsewhere-child"


def test_bad_argument_may_be_caught_like_any_error() -> None:
    def handler(ctx: Any) -> str:
        try:
            ctx.step.sleep("s", -1)
        except ValueError as error:
            return type(error).__name__
        return "never"

    assert run(function(handler)).output == "DurationError"
