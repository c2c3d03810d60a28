from __future__ import annotations

import functools
from typing import Any

import pytest

from inngest_django.drivers.base import Discovered
from inngest_django.errors import NonRetriableError
from inngest_django.functions.function import Function
from inngest_django.ids import hash_step_id
from inngest_django.states import OpKind
from tests.unit.drivers.harness import EVENT, Engine, run
from tests.unit.drivers.support import both, function

seen: list[Any] = []


@pytest.fixture(autouse=True)
def _empty() -> None:
    seen.clear()


async def two_steps(ctx: Any) -> Any:
    seen.append("entry")
    first = await ctx.step.run("first", lambda: [{"a": {"b": None}}, (1, 2), {3: "x"}])
    seen.append(first)
    return await ctx.step.run("second", lambda: first)


@pytest.mark.parametrize("fn", both(two_steps))
def test_step_results_are_decoded_json_and_bodies_run_once(fn: Function) -> None:
    engine = run(fn)

    value = [{"a": {"b": None}}, [1, 2], {"3": "x"}]
    assert engine.output == value
    assert seen == ["entry", "entry", value, "entry", value]
    assert engine.attempts == {"first": 1, "second": 1}


async def no_steps(ctx: Any) -> Any:
    return {"a": {"b": [1, None]}, "event": ctx.event.name, "n": ctx.event.data["n"]}


@pytest.mark.parametrize("fn", both(no_steps))
def test_function_without_steps_returns_its_value(fn: Function) -> None:
    assert run(fn).output == {"a": {"b": [1, None]}, "event": "test/event", "n": 1}


async def repeated(ctx: Any) -> Any:
    return [await ctx.step.run("again", lambda n=n: n) for n in range(3)]


@pytest.mark.parametrize("fn", both(repeated))
def test_repeated_id_counts_up(fn: Function) -> None:
    engine = run(fn)

    assert engine.output == [0, 1, 2]
    assert [p.op.index for p in engine.pieces.values()] == [0, 1, 2]
    assert list(engine.pieces) == [hash_step_id("again", n) for n in range(3)]


async def literal_collision(ctx: Any) -> Any:
    return [
        await ctx.step.run("a", lambda: 1),
        await ctx.step.run("a", lambda: 2),
        await ctx.step.run("a:1", lambda: 3),
        await ctx.step.run("a", lambda: 4),
        await ctx.step.run("", lambda: 5),
    ]


@pytest.mark.parametrize("fn", both(literal_collision))
def test_literal_id_does_not_collide_with_second_use(fn: Function) -> None:
    assert run(fn).output == [1, 2, 3, 4, 5]


async def mutating(ctx: Any) -> Any:
    rows = await ctx.step.run("rows", lambda: [3, 1, 2])
    rows.sort()
    ctx.event.data["n"] = 99
    await ctx.step.run("more", lambda: None)
    return rows


@pytest.mark.parametrize("fn", both(mutating))
def test_handler_may_change_values_without_changing_stored_ones(fn: Function) -> None:
    event = {**EVENT, "data": {"n": 1}}

    engine = run(fn, event=event)

    assert engine.output == [1, 2, 3]
    assert engine.stored("rows").value == [3, 1, 2]
    assert event["data"] == {"n": 1}


async def arguments(ctx: Any) -> Any:
    def body(a: int, b: int, *, c: int = 0) -> list[int]:
        return [a, b, c]

    return [
        await ctx.step.run("positional", body, 1, 2),
        await ctx.step.run("partial", functools.partial(body, c=5), 3, 4),
    ]


@pytest.mark.parametrize("fn", both(arguments))
def test_arguments_reach_the_body_and_are_recorded(fn: Function) -> None:
    engine = run(fn)

    assert engine.output == [[1, 2, 0], [3, 4, 5]]
    assert [p.op.input for p in engine.pieces.values()] == [[1, 2], [3, 4]]


async def contextual(ctx: Any) -> Any:
    key = await ctx.step.run("key", lambda: ctx.step.idempotency_key)
    return [ctx.attempt, ctx.run_id, len(ctx.events), ctx.job_id, ctx.request_id, key]


@pytest.mark.parametrize("fn", both(contextual))
def test_context_describes_the_call(fn: Function) -> None:
    engine = run(fn, job_id="7", request_id="r")

    run_id = engine.requests[0].run_id
    assert engine.output == [0, run_id, 1, "7", "r", f"{run_id}:{hash_step_id('key', 0)}"]


def test_idempotency_key_outside_a_body_is_refused() -> None:
    engine = run(function(lambda ctx: ctx.step.idempotency_key))

    assert engine.error["name"] == "OutsideStepError"


@pytest.mark.parametrize("step_id", [None, 7, b"x"])
def test_step_id_that_is_no_string_fails_at_once(step_id: Any) -> None:
    engine = run(function(lambda ctx: ctx.step.run(step_id, lambda: 1), retries=3))

    assert len(engine.entries) == 1
    assert engine.error["message"] == (
        f'A step id in function "app-fn" must be a string, got {step_id!r}.'
    )


def test_body_that_is_not_callable_is_refused() -> None:
    engine = run(function(lambda ctx: ctx.step.run("x", 5), retries=3))

    assert len(engine.entries) == 1
    assert "must be callable, got 5" in engine.error["message"]


async def changed(ctx: Any) -> Any:
    if ctx.event.data["n"] == 1:
        first = await ctx.step.run("a", lambda: "a1")
        second = await ctx.step.run("b", lambda: "b1")
    else:
        second = await ctx.step.run("b", lambda: "b2")
        extra = await ctx.step.run("new", lambda: "new")
        first = await ctx.step.run("a", lambda: "a2")
        return [first, second, extra]
    await ctx.step.sleep("pause", 1000)
    return [first, second]


@pytest.mark.parametrize("fn", both(changed))
def test_results_are_found_by_id_whatever_the_order(fn: Function) -> None:
    engine = Engine(fn, hold=["pause"]).run()
    engine.hold = ()
    engine.event = {**EVENT, "data": {"n": 2}}

    engine.run()

    assert engine.output == ["a1", "b1", "new"]


def test_pending_step_outside_a_group_ends_the_call_without_an_op() -> None:
    engine = Engine(function(lambda ctx: ctx.step.run("a", lambda: 1)))

    response = engine.call(pending=frozenset({hash_step_id("a", 0)}))

    assert response == Discovered()


def test_plan_only_call_plans_instead_of_running() -> None:
    engine = Engine(function(lambda ctx: ctx.step.run("a", seen.append, 1)))

    for overrides in ({"plan_only": True}, {"pending": frozenset({"other"})}):
        (op,) = engine.call(**overrides).ops
        assert op.kind is OpKind.STEP_PLANNED
        assert op.opts == {"input": [1], "transaction": False}
    assert seen == []


def test_target_that_is_not_met_is_reported_with_the_step_in_its_place() -> None:
    engine = Engine(function(lambda ctx: ctx.step.run("b", seen.append, 1)))

    response = engine.call(target=hash_step_id("a", 0))

    assert response == Discovered(target_missing=True, met="b")
    assert seen == []


def test_function_that_returns_before_its_target_has_returned() -> None:
    engine = Engine(function(lambda ctx: 5))

    response = engine.call(target=hash_step_id("a", 0))

    assert response.output == "5"


async def cleans_up(ctx: Any) -> Any:
    try:
        return await ctx.step.run("a", lambda: 1)
    except Exception:
        seen.append("caught")
        raise
    finally:
        seen.append("finally")


@pytest.mark.parametrize("fn", both(cleans_up))
def test_unwinding_runs_finally_and_passes_except_exception(fn: Function) -> None:
    assert run(fn).output == 1
    assert seen == ["finally", "finally"]


def test_body_may_raise_stop_iteration() -> None:
    def handler(ctx: Any) -> None:
        ctx.step.run("a", next, iter(()))

    assert run(function(handler)).error["name"] == "StopIteration"


async def system_exit(ctx: Any) -> Any:
    def leave() -> None:
        raise SystemExit(3)

    await ctx.step.run("a", leave)


@pytest.mark.parametrize("fn", both(system_exit))
def test_exit_in_a_body_is_a_failed_try(fn: Function) -> None:
    engine = run(fn, max_attempts=2)

    assert engine.attempts == {"a": 2}
    assert engine.error["name"] == "SystemExit"


def test_lost_lease_leaves_the_driver_past_user_code() -> None:
    from inngest_django.errors import LeaseLostError

    def handler(ctx: Any) -> None:
        try:
            ctx.step.run("a", seen.append, 1)
        except Exception:
            raise NonRetriableError from None

    with pytest.raises(LeaseLostError):
        Engine(function(handler)).call(may_start_body=lambda: False)

    assert seen == []
