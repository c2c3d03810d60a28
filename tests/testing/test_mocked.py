"""``inngest_django.experimental.mocked``: the SDK's interface for unit tests, and what is better.

None of these tests may touch a database, which pytest-django would refuse.
"""

from __future__ import annotations

import asyncio
from typing import Any
from unittest import mock

import pydantic
import pytest

from inngest_django import (
    Context,
    ContextSync,
    Event,
    Inngest,
    NonRetriableError,
    ParallelMode,
    PydanticSerializer,
    StepError,
    TriggerEvent,
)
from inngest_django.experimental import mocked

real = Inngest(app_id="shop", is_production=False)
fake = mocked.Inngest(app_id="shop")
START = Event(name="orders/placed", data={"order_id": 1})
ZEROS = "0" * 26


def declare(**options: Any) -> Any:
    return real.create_function(
        fn_id=options.pop("fn_id", "fn"), trigger=TriggerEvent(event="orders/placed"), **options
    )


class OutOfStockError(Exception):
    """The author's."""


def test_wait_times_out_or_gives_the_event() -> None:
    @declare()
    def await_payment(ctx: ContextSync) -> str:
        paid = ctx.step.wait_for_event("payment", event="payments/settled", timeout="2h")
        return "expired" if paid is None else f"paid {paid.data['amount']}"

    late = mocked.trigger(await_payment, START, fake, step_stubs={"payment": mocked.Timeout})
    event = Event(name="payments/settled", data={"amount": 30})
    good = mocked.trigger(await_payment, START, fake, step_stubs={"payment": event})

    assert (late.status, late.output, late.error) == (mocked.Status.COMPLETED, "expired", None)
    assert good.status is mocked.Status.COMPLETED
    assert good.output == "paid 30"


def test_status_values_are_the_sdks() -> None:
    assert [status.value for status in mocked.Status] == ["Completed", "Failed"]


@pytest.mark.parametrize("kind", ["wait", "invoke", "invoke_by_id"])
def test_a_step_that_needs_a_stub_and_has_none_raises(kind: str) -> None:
    @declare(retries=0)
    def asks(ctx: ContextSync) -> None:
        try:
            if kind == "wait":
                ctx.step.wait_for_event("ask", event="x", timeout=1000)
            elif kind == "invoke":
                ctx.step.invoke("ask", function=asks)
            else:
                ctx.step.invoke_by_id("ask", function_id="other")
        except Exception:
            pytest.fail("the function must not see it")

    with pytest.raises(mocked.UnstubbedStepError, match=r"^step ask is not stubbed$"):
        mocked.trigger(asks, START, fake)

    mocked.trigger(asks, START, fake, step_stubs={"ask": None})


def test_no_events_are_refused() -> None:
    @declare()
    def fn(ctx: ContextSync) -> int:
        return len(ctx.events)

    with pytest.raises(Exception, match=r"^Must provide at least 1 event$"):
        mocked.trigger(fn, [], fake)

    assert mocked.trigger(fn, [START, START], fake).output == 2


def test_stubs_stand_in_for_every_kind_of_step() -> None:
    calls: list[str] = []

    @declare()
    def every(ctx: ContextSync) -> list[Any]:
        return [
            ctx.step.run("run", lambda: calls.append("run")),
            ctx.step.transaction("transaction", lambda: calls.append("transaction")),
            ctx.step.sleep("sleep", "400d"),
            ctx.step.invoke_by_id("invoke", function_id="x"),
            ctx.step.send_event("send", Event(name="x")),
            ctx.step.run("again", lambda: 1),
            ctx.step.run("again", lambda: 2),
        ]

    stubs = {
        "run": {"data": 1},
        "transaction": 2,
        "sleep": None,
        "invoke": 3,
        "send": ["id"],
        "again:1": "second",
    }
    result = mocked.trigger(every, START, fake, step_stubs=stubs)

    assert result.output == [{"data": 1}, 2, None, 3, ["id"], 1, "second"]
    assert calls == []


def test_nothing_is_sent() -> None:
    @declare()
    def sends(ctx: ContextSync) -> list[Any]:
        one = ctx.step.send_event("one", Event(name="x"))
        return [one, ctx.step.send_event("two", [Event(name="x"), Event(name="y")])]

    assert mocked.trigger(sends, START, fake).output == [[ZEROS], [ZEROS, ZEROS]]
    assert fake.send_sync(Event(name="x")) == [ZEROS]
    assert asyncio.run(fake.send([Event(name="x")] * 2)) == [ZEROS] * 2


def test_values_pass_through_json() -> None:
    @declare()
    def values(ctx: ContextSync) -> tuple[Any, ...]:
        pair = ctx.step.run("pair", lambda: (1, {"a": None}))
        return pair, ctx.step.run("only data", lambda: {"data": 5})

    assert mocked.trigger(values, START, fake).output == [[1, {"a": None}], {"data": 5}]


def test_what_is_no_json_fails() -> None:
    @declare(retries=0)
    def bad(ctx: ContextSync) -> None:
        ctx.step.run("bad", object)

    result = mocked.trigger(bad, START, fake)

    assert result.status is mocked.Status.FAILED
    assert "unserializable" in str(result.error)


def test_retries_are_counted_for_the_run() -> None:
    attempts: list[int] = []

    @declare()
    def flaky(ctx: ContextSync) -> str:
        def body() -> str:
            attempts.append(ctx.attempt)
            if ctx.attempt < 4:
                raise OutOfStockError(f"try {ctx.attempt}")
            return "done"

        return ctx.step.run("body", body)

    assert mocked.trigger(flaky, START, fake).output == "done"
    assert attempts == [0, 1, 2, 3, 4]


def test_retries_of_the_functions_own_code_are_limited() -> None:
    calls: list[int] = []

    @declare(retries=2)
    def fails(ctx: ContextSync) -> None:
        calls.append(ctx.attempt)
        raise OutOfStockError("always")

    result = mocked.trigger(fails, START, fake)

    assert result.status is mocked.Status.FAILED
    assert result.output is None
    assert isinstance(result.error, OutOfStockError)
    assert calls == [0, 1, 2]


def test_no_retries_fail_on_the_first_error() -> None:
    @declare(retries=0)
    def fails(ctx: ContextSync) -> None:
        def body() -> None:
            raise OutOfStockError("oh no")

        ctx.step.run("body", body)

    result = mocked.trigger(fails, START, fake)

    assert isinstance(result.error, OutOfStockError)
    assert str(result.error) == "oh no"


def test_errors_that_are_not_retriable_are_not_retried() -> None:
    calls: list[int] = []

    @declare()
    def fails(ctx: ContextSync) -> None:
        def body() -> None:
            calls.append(1)
            raise NonRetriableError("stop")

        ctx.step.run("body", body)

    result = mocked.trigger(fails, START, fake)

    assert isinstance(result.error, NonRetriableError)
    assert calls == [1]


def test_a_failed_step_can_be_handled() -> None:
    @declare(retries=1)
    def recovers(ctx: ContextSync) -> str:
        def body() -> None:
            raise OutOfStockError("none left")

        try:
            ctx.step.run("body", body)
        except StepError as error:
            return f"{error.name}: {error.message}"
        return "never"

    assert mocked.trigger(recovers, START, fake).output == "OutOfStockError: none left"


def test_the_failure_handler_runs() -> None:
    def handle(ctx: ContextSync) -> str:
        data = ctx.event.data
        return f"{data['function_id']} {data['error']['name']} {data['event']['data']}"

    @declare(retries=0, on_failure=handle)
    def fails(ctx: ContextSync) -> None:
        raise OutOfStockError("oh")

    result = mocked.trigger(fails, START, fake)

    assert result.status is mocked.Status.FAILED
    assert result.on_failure is not None
    assert result.on_failure.output == "shop-fn OutOfStockError {'order_id': 1}"


def test_run_id_and_logger_are_the_tests() -> None:
    client = mocked.Inngest(app_id="shop")

    @declare()
    def logs(ctx: ContextSync) -> str:
        ctx.logger.info("hello %s", ctx.run_id)
        return ctx.run_id

    assert mocked.trigger(logs, START, client).output == "test"
    assert isinstance(client.logger, mock.Mock)
    client.logger.info.assert_called_once_with("hello %s", "test")


@pytest.mark.parametrize("mode", list(ParallelMode))
def test_parallel_groups_of_async_functions(mode: ParallelMode) -> None:
    @declare()
    async def lanes(ctx: Context) -> list[Any]:
        async def lane(name: str) -> list[str]:
            first = await ctx.step.run(f"{name} 1", lambda: f"{name} one")
            await ctx.step.sleep(f"{name} nap", "1d")
            return [first, await ctx.step.run(f"{name} 2", lambda: f"{name} two")]

        found = await ctx.group.parallel(
            (lambda: lane("red"), lambda: lane("blue")), parallel_mode=mode
        )
        return [*found, await ctx.step.run("last", lambda: "end")]

    result = mocked.trigger(lanes, START, fake, step_stubs={"blue 2": "stubbed"})

    assert result.output == [["red one", "red two"], ["blue one", "stubbed"], "end"]


def test_an_unstubbed_step_in_a_group_raises() -> None:
    @declare()
    async def lanes(ctx: Context) -> Any:
        return await ctx.group.parallel(
            (
                lambda: ctx.step.run("a", lambda: 1),
                lambda: ctx.step.wait_for_event("b", event="x", timeout="1h"),
            )
        )

    with pytest.raises(mocked.UnstubbedStepError, match="step b"):
        mocked.trigger(lanes, START, fake)


def test_typed_outputs_are_restored() -> None:
    class Parcel(pydantic.BaseModel):
        weight: int

    typed = Inngest(app_id="typed", is_production=False, serializer=PydanticSerializer())

    @typed.create_function(
        fn_id="weigh", output_type=list[Parcel], trigger=TriggerEvent(event="parcels/arrived")
    )
    def weigh(ctx: ContextSync) -> list[Parcel]:
        one = ctx.step.run("scale", lambda: Parcel(weight=420), output_type=Parcel)
        return [one, ctx.step.run("other", lambda: Parcel(weight=0), output_type=Parcel)]

    result = mocked.trigger(weigh, START, fake, step_stubs={"other": Parcel(weight=1)})

    assert result.output == [Parcel(weight=420), Parcel(weight=1)]


def test_the_functions_own_client_and_middleware_stay_untouched() -> None:
    before = (real.middleware, real.logger)

    @declare()
    def fn(ctx: ContextSync) -> None: ...

    mocked.trigger(fn, START, fake)

    assert fn.client is real
    assert (real.middleware, real.logger) == before


def test_a_function_that_calls_its_steps_differently_is_told() -> None:
    calls: list[int] = []

    @declare()
    def changes(ctx: ContextSync) -> None:
        calls.append(1)
        ctx.group.parallel((lambda: ctx.step.run(f"step {len(calls)}", lambda: None),))

    with pytest.raises(RuntimeError, match="called its steps differently"):
        mocked.trigger(changes, START, fake)
