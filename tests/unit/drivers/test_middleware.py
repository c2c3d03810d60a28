from __future__ import annotations

from typing import Any

import pytest

from inngest_django.drivers.base import Discovered, Raised
from inngest_django.errors import NonRetriableError
from inngest_django.events import Event
from inngest_django.functions.function import Function
from inngest_django.functions.middleware import (
    Delivery,
    Middleware,
    MiddlewareSync,
    Opcode,
    SendEventsResult,
    TransformOutputResult,
)
from tests.unit.drivers.harness import RUN_ID, Engine, run
from tests.unit.drivers.support import both, function, make_client

log: list[Any] = []
results: list[TransformOutputResult] = []


@pytest.fixture(autouse=True)
def _empty() -> None:
    log.clear()
    results.clear()


def sync_hooks(prefix: str = "") -> type[MiddlewareSync]:
    class Hooks(MiddlewareSync):
        def transform_input(self, ctx: Any, function: Any, steps: Any) -> None:
            log.append(f"{prefix}transform_input")

        def before_execution(self) -> None:
            log.append(f"{prefix}before_execution")

        def after_execution(self) -> None:
            log.append(f"{prefix}after_execution")

        def transform_output(self, output: TransformOutputResult) -> None:
            log.append(f"{prefix}transform_output")
            results.append(output)

        def before_response(self) -> None:
            log.append(f"{prefix}before_response")

        def before_send_events(self, events: list[Event]) -> None:
            log.append(f"{prefix}before_send_events")

        def after_send_events(self, result: SendEventsResult) -> None:
            log.append(f"{prefix}after_send_events")

    return Hooks


def async_hooks(prefix: str = "") -> type[Middleware]:
    class Hooks(Middleware):
        async def transform_input(self, ctx: Any, function: Any, steps: Any) -> None:
            log.append(f"{prefix}transform_input")

        async def before_execution(self) -> None:
            log.append(f"{prefix}before_execution")

        async def after_execution(self) -> None:
            log.append(f"{prefix}after_execution")

        async def transform_output(self, output: TransformOutputResult) -> None:
            log.append(f"{prefix}transform_output")
            results.append(output)

        async def before_response(self) -> None:
            log.append(f"{prefix}before_response")

        async def before_send_events(self, events: list[Event]) -> None:
            log.append(f"{prefix}before_send_events")

        async def after_send_events(self, result: SendEventsResult) -> None:
            log.append(f"{prefix}after_send_events")

    return Hooks


def sending_client(**options: Any) -> Any:
    client = make_client(**options)

    def send_sync(events: list[Event], *, skip_middleware: bool = False) -> list[str]:
        assert skip_middleware
        if events[0].name == "broken":
            raise ValueError("broker down")
        return ["id"] * len(events)

    async def send(events: list[Event], *, skip_middleware: bool = False) -> list[str]:
        return send_sync(events, skip_middleware=skip_middleware)

    client.send_sync = send_sync  # type: ignore[method-assign, assignment]
    client.send = send  # type: ignore[method-assign, assignment]
    return client


async def case_24(ctx: Any) -> Any:
    log.append("before step 1")
    await ctx.step.run("step_1", lambda: "1")
    log.append("after step 1")
    await ctx.step.send_event("send", Event(name="x"))
    log.append("after send")


plain, asynchronous = both(case_24, by=sending_client(), middleware=[sync_hooks()])
(_, on_loop) = both(case_24, by=sending_client(), middleware=[async_hooks()])


@pytest.mark.parametrize("fn", [plain, asynchronous, on_loop])
def test_hooks_run_in_the_documented_sequence(fn: Function) -> None:
    engine = Engine(fn)
    entries = []
    while engine.result is None:
        log.clear()
        engine.step()
        entries.append(list(log))

    assert entries == [
        [
            "transform_input",
            "before_execution",
            "before step 1",
            "after_execution",
            "transform_output",
            "before_response",
        ],
        [
            "transform_input",
            "before step 1",
            "before_execution",
            "after step 1",
            "before_send_events",
            "after_send_events",
            "after_execution",
            "transform_output",
            "before_response",
        ],
        [
            "transform_input",
            "before step 1",
            "after step 1",
            "before_execution",
            "after send",
            "after_execution",
            "transform_output",
            "before_response",
        ],
    ]


def test_client_comes_first_and_three_hooks_run_reversed() -> None:
    client = make_client(middleware=[sync_hooks("client ")])

    run(function(lambda ctx: 1, by=client, middleware=[sync_hooks("fn ")]))

    assert log == [
        "client transform_input",
        "fn transform_input",
        "client before_execution",
        "fn before_execution",
        "fn after_execution",
        "client after_execution",
        "fn transform_output",
        "client transform_output",
        "client before_response",
        "fn before_response",
    ]


def test_new_instance_an_entry_gets_client_and_delivery() -> None:
    made: list[tuple[Any, Any]] = []

    def factory(client: Any, raw_request: Any) -> MiddlewareSync:
        made.append((client, raw_request))
        return MiddlewareSync(client, raw_request)

    fn = function(lambda ctx: ctx.step.run("a", lambda: 1), middleware=[factory])
    run(fn, job_id="9")

    assert len(made) == 2
    assert made[0] == (
        fn.client,
        Delivery(function_id="app-fn", run_id=RUN_ID, attempt=0, job_id="9"),
    )


@pytest.mark.parametrize("is_async", [False, True])
def test_async_hook_in_a_plain_function_fails_and_in_an_async_one_works(is_async: bool) -> None:
    async def async_handler(ctx: Any) -> int:
        return 1

    handler = async_handler if is_async else lambda ctx: 1
    engine = run(function(handler, middleware=[async_hooks()], retries=3))

    if is_async:
        assert engine.output == 1
    else:
        assert engine.error["code"] == "async_unsupported"
        assert engine.error["message"] == "encountered async middleware in non-async context"


# What hooks change -----------------------------------------------------------------------


class Replacing(MiddlewareSync):
    def transform_output(self, result: TransformOutputResult) -> None:
        if result.step is not None and result.has_output():
            result.output = {"replaced": result.output}


async def returns_step(ctx: Any) -> Any:
    return await ctx.step.run("a", lambda: 1)


@pytest.mark.parametrize("fn", both(returns_step, middleware=[Replacing]))
def test_replaced_output_of_a_step_is_stored(fn: Function) -> None:
    engine = run(fn)

    assert engine.stored("a").value == {"replaced": 1}
    assert engine.output == {"replaced": 1}


async def in_transaction(ctx: Any) -> Any:
    return await ctx.step.transaction("a", lambda: 1)


@pytest.mark.parametrize("fn", both(in_transaction, middleware=[sync_hooks(), Replacing]))
def test_hooks_reach_the_result_of_a_transaction_before_it_commits(fn: Function) -> None:
    engine = Engine(fn)
    engine.step()

    assert engine.stored("a").value == {"replaced": 1}
    assert log == [
        "transform_input",
        "before_execution",
        "after_execution",
        "transform_output",
        "before_response",
    ]


def test_async_hooks_reach_the_result_of_a_transaction() -> None:
    async def handler(ctx: Any) -> Any:
        return await ctx.step.transaction("a", lambda: 1)

    engine = Engine(function(handler, middleware=[async_hooks()]))
    engine.step()

    assert engine.stored("a").value == 1
    assert log.count("transform_output") == 1


class Restoring(MiddlewareSync):
    def transform_input(self, context: Any, fn: Any, memos: Any) -> None:
        context.event.data = {"n": "changed"}
        log.append(memos.size)
        for memo in memos.values():
            assert memo.error is None
            memo.data = f"restored {memo.data}"


async def reads_event(ctx: Any) -> Any:
    return [await ctx.step.run("a", lambda: 1), ctx.event.data["n"]]


@pytest.mark.parametrize("fn", both(reads_event, middleware=[Restoring]))
def test_stored_results_and_context_may_be_replaced(fn: Function) -> None:
    engine = run(fn)

    assert engine.output == ["restored 1", "changed"]
    assert engine.stored("a").value == 1
    assert log == [0, 1]


class EncryptingInvokes(MiddlewareSync):
    def transform_output(self, result: TransformOutputResult) -> None:
        if result.step is not None and result.step.op is Opcode.INVOKE:
            assert result.step.opts["payload"]["data"] == {"secret": 1}
            result.step.opts["payload"]["data"] = {"secret": "encrypted"}


def test_invoke_data_may_be_replaced_in_the_live_opts() -> None:
    child = function(lambda ctx: None, fn_id="child")
    fn = function(
        lambda ctx: ctx.step.invoke("i", function=child, data={"secret": 1}, timeout="1h", v="2"),
        middleware=[EncryptingInvokes],
    )

    (op,) = Engine(fn).call().ops

    assert op.opts == {
        "function_id": "app-child",
        "data": {"secret": "encrypted"},
        "timeout_ms": 3_600_000,
        "v": "2",
    }


def test_error_may_be_replaced_or_cleared() -> None:
    class Translating(MiddlewareSync):
        def transform_output(self, result: TransformOutputResult) -> None:
            assert not result.has_output()
            result.error = NonRetriableError("translated")

    class Clearing(MiddlewareSync):
        def transform_output(self, result: TransformOutputResult) -> None:
            result.error, result.output = None, "rescued"

    def handler(ctx: Any) -> None:
        raise ValueError

    translated = run(function(handler, middleware=[Translating], retries=3))
    cleared = run(function(handler, middleware=[Clearing]))

    assert len(translated.entries) == 1
    assert translated.error["message"] == "translated"
    assert cleared.output == "rescued"


# When hooks do not run ---------------------------------------------------------------------


def test_after_execution_does_not_run_when_the_function_raised() -> None:
    def handler(ctx: Any) -> None:
        raise ValueError

    run(function(handler, middleware=[sync_hooks()]))

    assert log == ["transform_input", "before_execution", "transform_output", "before_response"]
    assert isinstance(results[0].error, ValueError)
    assert results[0].step is None


async def group(ctx: Any) -> Any:
    await ctx.group.parallel(
        (lambda: ctx.step.run("a", lambda: 1), lambda: ctx.step.run("b", lambda: 2))
    )


@pytest.mark.parametrize("fn", both(group, middleware=[sync_hooks()]))
def test_plan_of_several_steps_is_not_transformed(fn: Function) -> None:
    Engine(fn).step()

    assert log == ["transform_input", "before_execution", "after_execution", "before_response"]


async def sleeps(ctx: Any) -> Any:
    await ctx.step.sleep("s", 5)


@pytest.mark.parametrize("fn", both(sleeps, middleware=[sync_hooks()]))
def test_sleep_is_transformed_with_step_info_and_no_output(fn: Function) -> None:
    Engine(fn).step()

    (result,) = results
    assert result.output is None
    assert result.step is not None
    assert (result.step.id, result.step.op) == ("s", Opcode.SLEEP)


def test_before_execution_does_not_run_while_stored_results_are_left() -> None:
    def handler(ctx: Any) -> Any:
        if ctx.event.data["n"] == 1:
            ctx.step.run("gone", lambda: 1)
        ctx.step.run("kept", lambda: 2)
        log.append("code")

    engine = Engine(function(handler, middleware=[sync_hooks()]))
    engine.step()
    engine.event = {**engine.event, "data": {"n": 2}}
    log.clear()

    engine.run()

    assert "before_execution" not in log


# Hooks that raise --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "transform_input",
        "before_execution",
        "after_execution",
        "transform_output",
        "before_response",
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_hook_that_raises_ends_the_entry_with_its_error(name: str, is_async: bool) -> None:
    def hook(self: Any, *args: Any) -> None:
        raise ValueError(f"from {name}")

    def handler(ctx: Any) -> Any:
        try:
            return ctx.step.run("a", lambda: 1)
        except Exception:
            return "rescued"

    async def async_handler(ctx: Any) -> Any:
        try:
            return await ctx.step.run("a", lambda: 1)
        except Exception:
            return "rescued"

    broken = type("Broken", (MiddlewareSync,), {name: hook})
    engine = Engine(function(async_handler if is_async else handler, middleware=[broken]))

    response = engine.call()

    assert isinstance(response, Raised)
    assert response.is_retriable
    assert response.error["message"] == f"from {name}"


@pytest.mark.parametrize("is_async", [False, True])
def test_before_execution_that_raises_at_a_step_is_not_caught_by_the_function(
    is_async: bool,
) -> None:
    class Broken(MiddlewareSync):
        def before_execution(self) -> None:
            if armed:
                raise ValueError("from the hook")

    armed: list[bool] = []
    (plain_fn, async_fn) = both(returns_step, middleware=[Broken])
    engine = Engine(async_fn if is_async else plain_fn)
    engine.step()
    armed.append(True)

    engine.step()

    assert engine.error["message"] == "from the hook"


def test_middleware_whose_constructor_raises_fails_the_entry() -> None:
    def factory(client: Any, raw_request: Any) -> Any:
        raise ValueError("no middleware")

    assert run(function(lambda ctx: 1, middleware=[factory])).error["message"] == "no middleware"


# Sending -----------------------------------------------------------------------------------


async def sends_broken(ctx: Any) -> Any:
    await ctx.step.send_event("send", Event(name="broken"))


class Watching(MiddlewareSync):
    def after_send_events(self, result: SendEventsResult) -> None:
        log.append(result.error)


@pytest.mark.parametrize("fn", both(sends_broken, by=sending_client(), middleware=[Watching]))
def test_after_send_events_runs_with_the_error(fn: Function) -> None:
    engine = run(fn, max_attempts=2)

    assert engine.attempts == {"send": 2}
    assert engine.error["message"] == "broker down"
    assert log == ["broker down", "broker down"]


class Renaming(MiddlewareSync):
    def before_send_events(self, events: list[Event]) -> None:
        for event in events:
            event.name = f"{event.name}!"


def test_hooks_change_copies_of_the_events() -> None:
    event = Event(name="x")
    client = sending_client()
    sent: list[str] = []
    client.send_sync = lambda events, skip_middleware: sent.extend(e.name for e in events) or ["i"]

    run(function(lambda ctx: ctx.step.send_event("s", event), by=client, middleware=[Renaming]))

    assert sent == ["x!"]
    assert event.name == "x"


def test_discovered_nothing_still_ends_with_before_response() -> None:
    from inngest_django.ids import hash_step_id

    fn = function(lambda ctx: ctx.step.run("a", lambda: 1), middleware=[sync_hooks()])

    response = Engine(fn).call(pending=frozenset({hash_step_id("a", 0)}))

    assert response == Discovered()
    assert log[-1] == "before_response"
    assert "transform_output" not in log


@pytest.mark.parametrize("options", [{"checkpointing": True}, {}])
def test_hook_that_raises_beside_a_stored_result_is_not_caught_by_the_function(
    options: Any,
) -> None:
    class Broken(MiddlewareSync):
        def transform_output(self, result: TransformOutputResult) -> None:
            if result.step is not None:
                raise ValueError("from the hook")

    def handler(ctx: Any) -> Any:
        try:
            return ctx.step.run("a", lambda: 1) if options else ctx.step.transaction("a", int)
        except Exception:
            return "rescued"

    engine = run(function(handler, middleware=[Broken]), **options)

    assert engine.error["message"] == "from the hook"
    assert engine.pieces == {}
