from __future__ import annotations

import datetime as dt
import logging
from typing import Any

import pytest

from inngest_django import clock
from inngest_django.drivers.base import Discovered, Raised
from inngest_django.errors import (
    InngestError,
    NonRetriableError,
    RetryAfterError,
    StepError,
    StepInAtomicError,
)
from inngest_django.functions.function import Function
from inngest_django.states import OpKind
from tests.unit.drivers.harness import Engine, run
from tests.unit.drivers.support import both, function, make_client

NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


class GatewayError(Exception):
    pass


def fail() -> None:
    raise GatewayError("gateway down")


async def failing_step(ctx: Any) -> Any:
    await ctx.step.run("charge", fail)


@pytest.mark.parametrize("fn", both(failing_step, retries=2))
def test_failing_body_is_tried_and_then_fails_the_run(fn: Function) -> None:
    engine = run(fn)

    assert engine.attempts == {"charge": 3}
    kinds = [r.ops[0].kind for r in engine.entries if isinstance(r, Discovered)]
    assert kinds == [OpKind.STEP_ERROR, OpKind.STEP_ERROR, OpKind.STEP_FAILED]
    assert engine.result == Raised(error=engine.error, is_retriable=False)
    assert engine.error["code"] == "step_errored"
    assert engine.error["name"] == "GatewayError"
    assert engine.error["message"] == "gateway down"


@pytest.mark.parametrize("fn", both(failing_step))
def test_stack_holds_only_frames_of_the_author(fn: Function) -> None:
    stack = run(fn).error["stack"]

    assert stack is not None
    assert stack.startswith("Traceback (most recent call last):")
    assert __file__ in stack
    assert "inngest_django/" not in stack.replace(__file__, "")
    assert "asgiref" not in stack


async def recovering(ctx: Any) -> Any:
    try:
        await ctx.step.run("charge", fail)
    except StepError as error:
        return [error.name, error.message, str(error), error.stack is not None]


@pytest.mark.parametrize("fn", both(recovering))
def test_finally_failed_step_can_be_caught(fn: Function) -> None:
    assert run(fn).output == ["GatewayError", "gateway down", "gateway down", True]


async def non_retriable_in_body(ctx: Any) -> Any:
    def body() -> None:
        raise NonRetriableError("foo", quiet=True)

    await ctx.step.run("a", body)


@pytest.mark.parametrize("fn", both(non_retriable_in_body, retries=1))
def test_non_retriable_error_passes_through_the_function(fn: Function) -> None:
    engine = run(fn)

    assert len(engine.entries) == 1
    assert engine.error["code"] == "non_retriable_error"
    assert engine.error["name"] == "NonRetriableError"
    assert engine.error["message"] == "foo"
    assert engine.result is not None
    assert engine.result.is_quiet  # type: ignore[union-attr]
    assert engine.pieces == {}


async def caught_non_retriable(ctx: Any) -> Any:
    def body() -> None:
        raise NonRetriableError

    try:
        await ctx.step.run("a", body)
    except NonRetriableError as error:
        caught = str(error)
    return [caught, await ctx.step.run("b", lambda: "b")]


@pytest.mark.parametrize("fn", both(caught_non_retriable))
def test_non_retriable_error_may_be_caught_and_the_function_goes_on(fn: Function) -> None:
    engine = run(fn)

    assert engine.output == ["", "b"]
    assert [p.op.name for p in engine.pieces.values()] == ["b"]


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [
        (30_000, dt.timedelta(seconds=30)),
        (dt.timedelta(minutes=2), dt.timedelta(minutes=2)),
        (0, dt.timedelta(seconds=1)),
        (dt.timedelta(days=3), dt.timedelta(hours=24)),
    ],
)
def test_retry_after_chooses_the_time_within_bounds(
    retry_after: Any, expected: dt.timedelta
) -> None:
    def handler(ctx: Any) -> None:
        def body() -> None:
            raise RetryAfterError("later", retry_after)

        ctx.step.run("a", body)

    with clock.frozen(NOW):
        response = Engine(function(handler, retries=3)).call()

    assert isinstance(response, Raised)
    assert response.is_retriable
    assert response.retry_at is not None
    assert abs(response.retry_at - (NOW + expected)) < dt.timedelta(seconds=1)
    assert response.error["code"] == "retry_after_error"


def test_retry_after_a_naive_date_is_in_the_projects_zone() -> None:
    zone = dt.timezone(dt.timedelta(hours=2))

    def handler(ctx: Any) -> None:
        raise RetryAfterError("later", dt.datetime(2026, 5, 1, 15))  # noqa: DTZ001

    with clock.frozen(NOW):
        response = Engine(function(handler)).call(time_zone=zone)

    assert response.retry_at == NOW + dt.timedelta(hours=1)


async def raising(ctx: Any) -> Any:
    await ctx.step.run("a", lambda: 1)
    fail()


@pytest.mark.parametrize("fn", both(raising, retries=2))
def test_error_of_the_function_is_retried_and_keeps_steps(fn: Function) -> None:
    engine = run(fn)

    assert engine.attempts == {"a": 1}
    assert [type(r) for r in engine.entries] == [Discovered, Raised, Raised, Raised]
    assert engine.error["code"] == "unknown"
    assert engine.error["name"] == "GatewayError"


async def unserialisable_step(ctx: Any) -> Any:
    await ctx.step.run("obj", object)


@pytest.mark.parametrize("fn", both(unserialisable_step, retries=3))
def test_unserialisable_step_output_fails_at_once(fn: Function) -> None:
    engine = run(fn)

    assert engine.attempts == {"obj": 1}
    assert engine.error == {
        "code": "output_unserializable",
        "name": "OutputUnserializableError",
        "message": '"obj" returned unserializable data',
        "stack": None,
    }


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"x", object()])
def test_unserialisable_function_output_fails_at_once(value: Any) -> None:
    engine = run(function(lambda ctx: value, retries=3))

    assert len(engine.entries) == 1
    assert engine.error["message"] == "returned unserializable data"
    assert engine.result == Raised(error=engine.error, is_retriable=False)


def test_async_body_in_a_plain_function_is_unserialisable() -> None:
    async def body() -> int:
        return 1

    engine = run(function(lambda ctx: ctx.step.run("a", body)))

    assert engine.error["message"] == '"a" returned unserializable data'


async def oversized(ctx: Any) -> Any:
    await ctx.step.run("big", lambda: "x" * (4 * 1024 * 1024))


@pytest.mark.parametrize("fn", both(oversized, retries=3))
def test_step_output_over_4_mib_fails_at_once(fn: Function) -> None:
    engine = run(fn)

    assert engine.attempts == {"big": 1}
    assert engine.error["name"] == "LimitExceededError"
    assert '"big" returned 4194306 bytes, over the limit of 4194304' in engine.error["message"]


def test_step_input_over_4_mib_fails_at_once() -> None:
    engine = run(function(lambda ctx: ctx.step.run("a", len, "x" * (4 * 1024 * 1024)), retries=3))

    assert len(engine.entries) == 1
    assert engine.error["name"] == "LimitExceededError"
    assert 'The input of step "a" in function "app-fn"' in engine.error["message"]


def _inner_run(ctx: Any) -> Any:
    return ctx.step.run("inner", lambda: 1)


def _inner_sleep(ctx: Any) -> Any:
    return ctx.step.sleep("inner", 1)


def _inner_group(ctx: Any) -> Any:
    return ctx.group.parallel((lambda: ctx.step.run("inner", lambda: 1),))


@pytest.mark.parametrize("inner", [_inner_run, _inner_sleep, _inner_group])
@pytest.mark.parametrize("is_async", [False, True])
def test_nested_step_fails_the_outer_one_whatever_the_body_does(inner: Any, is_async: bool) -> None:
    def body(ctx: Any) -> str:
        try:
            inner(ctx)
        except BaseException:
            return "rescued"
        return "never"

    async def async_body(ctx: Any) -> str:
        try:
            await inner(ctx)
        except BaseException:
            return "rescued"
        return "never"

    async def handler(ctx: Any) -> Any:
        return await ctx.step.run("outer", async_body, ctx)

    def plain_handler(ctx: Any) -> Any:
        return ctx.step.run("outer", body, ctx)

    engine = run(function(handler if is_async else plain_handler, retries=3))

    assert engine.attempts == {"outer": 1}
    stored = engine.stored("outer").error
    assert stored is not None
    assert stored["name"] == "CodedError"
    assert engine.error["code"] == "step_nested"
    assert engine.error["message"] == "Nested steps are not supported."


async def nested_plainly(ctx: Any) -> Any:
    async def body() -> Any:
        return await ctx.step.run("inner", lambda: 1)

    return await ctx.step.run("outer", body)


@pytest.mark.parametrize("fn", both(nested_plainly, retries=3))
def test_nested_step_fails_the_outer_one_when_the_body_lets_it(fn: Function) -> None:
    engine = run(fn)

    assert engine.attempts == {"outer": 1}
    assert engine.error["code"] == "step_nested"


def test_step_limit_refuses_the_next_step_past_user_code() -> None:
    def handler(ctx: Any) -> Any:
        for n in range(5):
            try:
                ctx.step.run("s", lambda n=n: n)
            except Exception:
                return "rescued"
        return "never"

    engine = run(function(handler, retries=3), step_limit=3)

    assert len(engine.pieces) == 3
    assert engine.error["code"] == "limit_exceeded"
    assert '"app-fn"' in engine.error["message"]
    assert engine.result == Raised(error=engine.error, is_retriable=False)


def test_step_limit_counts_a_plan() -> None:
    def handler(ctx: Any) -> Any:
        ctx.group.parallel([lambda n=n: ctx.step.run(f"s{n}", lambda: n) for n in range(4)])

    engine = run(function(handler), step_limit=3)

    assert engine.error["code"] == "limit_exceeded"
    assert engine.pieces == {}


def test_step_in_an_open_transaction_is_refused_past_user_code() -> None:
    rolled_back: list[bool] = []

    def guard() -> None:
        raise StepInAtomicError("inside atomic")

    def handler(ctx: Any) -> Any:
        try:
            ctx.step.sleep("a", 5)
        except Exception:
            return "rescued"
        except BaseException:
            rolled_back.append(True)
            raise

    response = Engine(function(handler)).call(guard=guard)

    assert rolled_back == [True]
    assert response.error["code"] == "step_in_atomic"
    assert not response.is_retriable


def test_memoised_steps_are_not_guarded() -> None:
    engine = Engine(function(lambda ctx: ctx.step.run("a", lambda: 1)))
    engine.step()

    response = engine.call(guard=lambda: pytest.fail("guarded"))

    assert response.output == "1"


def test_unhandled_errors_are_logged_once_unless_quiet(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = make_client(logger=logging.getLogger("tests.loud"))

    def loud(ctx: Any) -> None:
        fail()

    def quiet(ctx: Any) -> None:
        raise NonRetriableError("hush", quiet=True)

    with caplog.at_level(logging.DEBUG, "tests.loud"):
        run(function(loud, by=client))
        run(function(quiet, by=client))

    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("ERROR", "function app-fn failed on attempt 0")
    ]


def test_error_with_a_broken_str_is_still_stored() -> None:
    class BrokenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def handler(ctx: Any) -> None:
        raise BrokenError

    error = run(function(handler)).error

    assert error["name"] == "BrokenError"
    assert error["message"] == "<BrokenError without a readable message>"


def test_error_causes_are_part_of_the_stack() -> None:
    def handler(ctx: Any) -> None:
        try:
            fail()
        except GatewayError as error:
            raise InngestError("wrapped") from error

    stack = run(function(handler)).error["stack"]

    assert stack is not None
    assert "gateway down" in stack
    assert "direct cause" in stack
