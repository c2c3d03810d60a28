"""Handlers that do not let the unwinding pass, and those that only look so."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from typing import Any

import pytest

from inngest_django.drivers.base import Raised
from inngest_django.functions.function import Function
from tests.unit.drivers.harness import Engine, run
from tests.unit.drivers.support import both, function

seen: list[Any] = []


@pytest.fixture(autouse=True)
def _empty() -> None:
    seen.clear()


async def bare_except(ctx: Any) -> Any:
    try:
        await ctx.step.run("charge", lambda: 1)
    except:  # noqa: E722
        return "swallowed"


async def return_in_finally(ctx: Any) -> Any:
    try:
        await ctx.step.sleep("charge", 5)
    finally:
        return "swallowed"  # noqa: B012


async def suppress(ctx: Any) -> Any:
    with contextlib.suppress(BaseException):
        await ctx.step.wait_for_event("charge", event="x", timeout=5)


async def replaced(ctx: Any) -> Any:
    try:
        await ctx.step.run("charge", lambda: 1)
    except BaseException:
        raise ValueError("replaced") from None


async def step_in_finally(ctx: Any) -> Any:
    try:
        await ctx.step.run("charge", lambda: 1)
    finally:
        await ctx.step.run("cleanup", seen.append, "cleanup")


async def swallowed_then_step(ctx: Any) -> Any:
    try:  # noqa: SIM105
        await ctx.step.run("charge", lambda: 1)
    except BaseException:
        pass
    await ctx.step.run("next", seen.append, "next")


async def swallowed_in_a_branch(ctx: Any) -> Any:
    async def branch() -> str:
        try:  # noqa: SIM105
            await ctx.step.run("charge", lambda: 1)
        except BaseException:
            pass
        return "swallowed"

    try:
        return await ctx.group.parallel((branch,))
    except Exception:
        return "caught"


@pytest.mark.parametrize(
    "fn",
    [
        fn
        for description in (
            bare_except,
            return_in_finally,
            suppress,
            replaced,
            step_in_finally,
            swallowed_then_step,
            swallowed_in_a_branch,
        )
        for fn in both(description, retries=3)
    ],
)
def test_swallowed_unwinding_fails_the_run_and_names_the_step(fn: Function) -> None:
    engine = run(fn)

    assert engine.result == Raised(error=engine.error, is_retriable=False)
    assert engine.error["code"] == "interrupt_swallowed"
    assert 'Function "app-fn"' in engine.error["message"]
    assert 'step "charge"' in engine.error["message"]
    assert seen == []
    assert len(engine.entries) == 1


def test_gathered_interrupts_kept_as_values_fail_the_run() -> None:
    async def handler(ctx: Any) -> Any:
        await asyncio.gather(ctx.step.run("charge", lambda: 1), return_exceptions=True)

    assert run(function(handler)).error["code"] == "interrupt_swallowed"


# Concurrency that works ------------------------------------------------------------------


def test_task_group_works_and_runs_one_body_an_entry() -> None:
    async def handler(ctx: Any) -> Any:
        async with asyncio.TaskGroup() as group:
            one = group.create_task(ctx.step.run("one", lambda: 1))
            two = group.create_task(ctx.step.run("two", lambda: 2))
        return [one.result(), two.result()]

    engine = run(function(handler))

    assert engine.output == [1, 2]
    assert len(engine.entries) == 3


def test_gather_degrades_to_one_body_an_entry() -> None:
    running: list[str] = []

    async def body(name: str) -> str:
        running.append(name)
        assert len(running) == 1
        await asyncio.sleep(0.01)
        running.remove(name)
        return name

    async def handler(ctx: Any) -> Any:
        return await asyncio.gather(*(ctx.step.run(n, body, n) for n in ("a", "b", "c")))

    engine = run(function(handler))

    assert engine.output == ["a", "b", "c"]
    assert engine.attempts == {"a": 1, "b": 1, "c": 1}
    assert len(engine.entries) == 4


def test_gather_of_sleeps_degrades_to_one_an_entry() -> None:
    async def handler(ctx: Any) -> Any:
        return await asyncio.gather(ctx.step.sleep("a", 5), ctx.step.sleep("b", 5))

    engine = run(function(handler))

    assert engine.output == [None, None]
    assert engine.settled == ["a", "b"]


def test_wait_for_around_a_step_works() -> None:
    async def handler(ctx: Any) -> Any:
        return await asyncio.wait_for(ctx.step.run("a", lambda: 1), 5)

    assert run(function(handler)).output == 1


def test_wait_for_that_expires_cancels_the_body_and_raises_in_the_function() -> None:
    async def body() -> None:
        await asyncio.sleep(30)

    async def handler(ctx: Any) -> Any:
        try:
            await asyncio.wait_for(ctx.step.run("a", body), 0.05)
        except TimeoutError:
            return await ctx.step.run("b", lambda: "late")

    engine = run(function(handler))

    assert engine.output == "late"
    assert "a" not in engine.settled


def test_body_that_raises_cancelled_error_is_a_failed_try() -> None:
    async def body() -> None:
        raise asyncio.CancelledError

    async def handler(ctx: Any) -> Any:
        await ctx.step.run("a", body)

    assert run(function(handler)).error["name"] == "CancelledError"


def test_threads_of_a_plain_handler_run_one_body_an_entry() -> None:
    def handler(ctx: Any) -> Any:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(ctx.step.run, n, lambda n=n: n) for n in "abcd"]
            return [f.result() for f in futures]

    engine = run(function(handler))

    assert engine.output == ["a", "b", "c", "d"]
    assert set(engine.attempts.values()) == {1}


def test_step_in_a_thread_that_a_body_waits_for_is_nested() -> None:
    def handler(ctx: Any) -> Any:
        def body() -> None:
            thread = threading.Thread(target=lambda: outcome.append(call()))
            thread.start()
            thread.join()

        def call() -> str:
            try:
                return str(ctx.step.run("inner", lambda: 1))
            except BaseException as error:
                return type(error).__name__

        outcome: list[str] = []
        return ctx.step.run("outer", body)

    assert run(function(handler, retries=3)).error["code"] == "step_nested"


# Async bodies ----------------------------------------------------------------------------


def test_plain_bodies_of_async_functions_run_on_the_calling_thread() -> None:
    threads: list[int] = []

    async def handler(ctx: Any) -> Any:
        threads.append(threading.get_ident())
        await ctx.step.run("a", lambda: threads.append(threading.get_ident()))

    Engine(function(handler)).call()

    assert threads[1] == threading.get_ident()
    assert threads[0] != threading.get_ident()


def test_awaitable_that_a_plain_body_returns_is_awaited() -> None:
    async def body(n: int) -> int:
        return n

    async def handler(ctx: Any) -> Any:
        return [
            await ctx.step.run("lambda", lambda: body(1)),
            await ctx.step.run("coroutine", body, 2),
        ]

    assert run(function(handler)).output == [1, 2]


def test_stop_iteration_of_a_plain_body_in_an_async_function() -> None:
    async def handler(ctx: Any) -> Any:
        await ctx.step.run("a", lambda: next(iter(())))

    assert run(function(handler)).error["name"] == "StopIteration"


def test_error_group_of_one_counts_as_that_error() -> None:
    from inngest_django.errors import NonRetriableError

    async def broken() -> None:
        raise NonRetriableError("no")

    async def handler(ctx: Any) -> Any:
        async with asyncio.TaskGroup() as group:
            group.create_task(broken())

    engine = run(function(handler, retries=3))

    assert len(engine.entries) == 1
    assert engine.error["code"] == "non_retriable_error"


def test_tasks_left_behind_by_the_unwinding_make_no_noise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(ctx: Any) -> Any:
        names = ("a", "b", "c")
        tasks = [asyncio.create_task(ctx.step.run(n, lambda n=n: n)) for n in names]
        return [await task for task in tasks]

    engine = run(function(handler))

    assert engine.output == ["a", "b", "c"]
    assert [r.getMessage() for r in caplog.records if r.name == "asyncio"] == []
