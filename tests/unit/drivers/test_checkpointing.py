from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from inngest_django.drivers.base import Discovered, Op
from inngest_django.errors import AsyncUnsupportedError, LeaseLostError
from inngest_django.functions.function import Function
from inngest_django.functions.middleware import MiddlewareSync, TransformOutputResult
from inngest_django.states import OpKind
from inngest_django.steps.memos import StepMemos
from tests.unit.drivers.harness import Engine, run
from tests.unit.drivers.support import both, function

seen: list[Any] = []


@pytest.fixture(autouse=True)
def _empty() -> None:
    seen.clear()


async def chain(ctx: Any) -> Any:
    seen.append("entry")
    values = [await ctx.step.run(f"s{n}", lambda n=n: (n, "x")) for n in range(4)]
    assert all(type(value) is list for value in values)
    values[0].append("mine")
    return values[-1]


@pytest.mark.parametrize("fn", both(chain))
def test_checkpointed_steps_share_one_entry(fn: Function) -> None:
    engine = run(fn, checkpointing=True)

    assert engine.output == [3, "x"]
    assert seen == ["entry"]
    assert engine.stored("s0").value == [0, "x"]


async def leaves(ctx: Any) -> Any:
    await ctx.step.run("a", lambda: 1)
    await ctx.step.sleep("s", 5)
    await ctx.step.run("b", lambda: 2)
    await ctx.group.parallel((lambda: ctx.step.run("p", lambda: 3),))


@pytest.mark.parametrize("fn", both(leaves))
def test_sleeps_and_groups_are_reported_from_the_same_entry(fn: Function) -> None:
    engine = run(fn, checkpointing=True)

    reported = [[op.kind for op in r.ops] for r in engine.entries if isinstance(r, Discovered)]
    assert reported == [[OpKind.SLEEP], [OpKind.STEP_PLANNED], [OpKind.STEP_RUN]]


async def fails_second(ctx: Any) -> Any:
    await ctx.step.run("a", lambda: 1)
    seen.append(ctx.attempt)
    await ctx.step.run("b", lambda: 1 / 0)


@pytest.mark.parametrize("fn", both(fails_second))
def test_progress_restarts_the_attempts(fn: Function) -> None:
    engine = Engine(fn, checkpointing=True, attempt=1, max_attempts=2)
    engine.request.pop("attempt")

    response = engine.call(attempt=1)

    assert seen == [0]
    assert response.ops[0].kind is OpKind.STEP_ERROR


@pytest.mark.parametrize("fn", both(chain))
def test_refusal_to_go_on_unwinds_with_the_op_marked(fn: Function) -> None:
    stored: list[Op] = []

    def record(op: Op) -> None:
        stored.append(op)

    response = Engine(fn).call(record=record)

    assert [op.name for op in stored] == ["s0"]
    assert response == Discovered(ops=(dataclasses.replace(stored[0], is_recorded=True),))


class Sealing(MiddlewareSync):
    """Stores results in an envelope, of which the function must never know."""

    def transform_input(self, ctx: Any, function: Any, steps: StepMemos) -> None:
        for memo in steps.values():
            memo.data = memo.data["sealed"]

    def transform_output(self, result: TransformOutputResult) -> None:
        if result.step is not None and result.has_output():
            result.output = {"sealed": result.output}


class SealingLater(Sealing):
    """The same, looking at the stored results only when there are some."""

    def transform_input(self, ctx: Any, function: Any, steps: StepMemos) -> None:
        if steps.size:
            super().transform_input(ctx, function, steps)


@pytest.mark.parametrize(
    "fn", [*both(chain, middleware=[Sealing]), *both(chain, middleware=[SealingLater])]
)
def test_results_that_middleware_looks_at_are_met_in_the_next_entry(fn: Function) -> None:
    engine = run(fn, checkpointing=True)

    assert engine.output == [3, "x"]
    assert engine.stored("s0").value == {"sealed": [0, "x"]}
    assert seen == ["entry"] * 5


class Dressing(MiddlewareSync):
    """Changes the context and what is stored, and looks at no stored result."""

    def transform_input(self, ctx: Any, function: Any, steps: StepMemos) -> None:
        ctx.event.data["dressed"] = True

    def transform_output(self, result: TransformOutputResult) -> None:
        if result.step is not None:
            result.output = [*result.output, "dressed"]


@pytest.mark.parametrize("fn", both(chain, middleware=[Dressing]))
def test_other_middleware_leaves_checkpointing_on(fn: Function) -> None:
    engine = run(fn, checkpointing=True)

    assert engine.output == [3, "x", "dressed"]
    assert seen == ["entry"]


@pytest.mark.parametrize("fn", both(chain))
def test_lease_lost_while_recording_leaves_the_driver(fn: Function) -> None:
    def record(op: Op) -> None:
        raise LeaseLostError("lost")

    with pytest.raises(LeaseLostError):
        Engine(fn).call(record=record)


@pytest.mark.parametrize("fn", both(chain))
def test_targeted_call_does_not_checkpoint(fn: Function) -> None:
    from inngest_django.ids import hash_step_id

    response = Engine(fn).call(
        target=hash_step_id("s0", 0), record=lambda op: pytest.fail("recorded")
    )

    assert response.ops[0].output == '[0,"x"]'


async def unserialisable(ctx: Any) -> Any:
    await ctx.step.run("a", object)


@pytest.mark.parametrize("fn", both(unserialisable))
def test_unserialisable_output_is_not_recorded(fn: Function) -> None:
    engine = run(fn, checkpointing=True)

    assert engine.error["code"] == "output_unserializable"


# Transactions ------------------------------------------------------------------------------


async def transaction(ctx: Any) -> Any:
    return await ctx.step.transaction("t", lambda a: (a, ctx.step.idempotency_key[:2]), 5)


@pytest.mark.parametrize("fn", both(transaction))
def test_transaction_is_stored_by_the_engine_and_reported_as_recorded(fn: Function) -> None:
    engine = run(fn)

    assert engine.output == [5, "01"]
    (op,) = engine.entries[0].ops
    assert op.is_recorded
    assert op.output == '[5,"01"]'


async def failing_transaction(ctx: Any) -> Any:
    await ctx.step.transaction("t", lambda: 1 / 0)


@pytest.mark.parametrize("fn", both(failing_transaction))
def test_failed_transaction_is_an_ordinary_failed_try(fn: Function) -> None:
    passed: list[str] = []

    def transact(body: Any) -> Op:
        try:
            return body()  # type: ignore[no-any-return]
        except BaseException as error:
            passed.append(type(error).__name__)
            raise

    engine = run(fn, transact=transact)

    assert passed == ["ZeroDivisionError"]
    assert engine.error["name"] == "ZeroDivisionError"
    assert not engine.entries[0].ops[0].is_recorded


@pytest.mark.parametrize("value", [object(), "x" * 5_000_000])
def test_transaction_whose_result_cannot_be_stored_is_rolled_back(value: Any) -> None:
    rolled_back: list[bool] = []

    def transact(body: Any) -> Op:
        try:
            return body()  # type: ignore[no-any-return]
        except BaseException:
            rolled_back.append(True)
            raise

    engine = run(function(lambda ctx: ctx.step.transaction("t", lambda: value)), transact=transact)

    assert rolled_back == [True]
    assert engine.error["code"] in ("output_unserializable", "step_errored")


@pytest.mark.parametrize("is_async", [False, True])
def test_async_body_of_a_transaction_is_refused(is_async: bool) -> None:
    async def body() -> None: ...

    def handler(ctx: Any) -> Any:
        return ctx.step.transaction("t", body)

    async def async_handler(ctx: Any) -> Any:
        return await ctx.step.transaction("t", body)

    engine = run(function(async_handler if is_async else handler, retries=3))

    assert len(engine.entries) == 1
    assert "is async; a transaction needs a plain function" in engine.error["message"]


def test_awaitable_result_of_a_transaction_is_refused_and_rolled_back() -> None:
    async def body() -> None: ...

    engine = run(function(lambda ctx: ctx.step.transaction("t", lambda: body()), retries=3))  # noqa: PLW0108

    assert engine.attempts == {"t": 1}
    assert engine.error["name"] == AsyncUnsupportedError.__name__


def test_lease_lost_while_committing_leaves_the_driver() -> None:
    def transact(body: Any) -> Op:
        body()
        raise LeaseLostError("lost")

    with pytest.raises(LeaseLostError):
        Engine(function(lambda ctx: ctx.step.transaction("t", lambda: 1))).call(transact=transact)


def test_error_of_the_commit_is_a_failed_try() -> None:
    def transact(body: Any) -> Op:
        body()
        raise OSError("connection lost")

    engine = run(function(lambda ctx: ctx.step.transaction("t", lambda: 1)), transact=transact)

    assert engine.error["name"] == "OSError"
