from __future__ import annotations

import logging
from typing import Any

import pytest

from inngest_django.functions.function import Function
from tests.unit.drivers.harness import Engine, run
from tests.unit.drivers.support import both, function, make_client


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.DEBUG, "tests.author")
    return lambda: [record.getMessage() for record in caplog.records]


client = make_client(logger=logging.getLogger("tests.author"))


async def logs(ctx: Any) -> Any:
    ctx.logger.info("start")
    await ctx.step.run("a", lambda: ctx.logger.info("in a"))
    ctx.logger.info("between")
    await ctx.step.run("b", lambda: ctx.logger.info("in b"))
    ctx.logger.info("end")


@pytest.mark.parametrize("fn", both(logs, by=client))
def test_each_line_is_logged_once(fn: Function, lines: Any) -> None:
    run(fn)

    assert lines() == ["start", "in a", "between", "in b", "end"]


async def logs_in_group(ctx: Any) -> Any:
    ctx.logger.info("start")

    async def lane(name: str) -> None:
        await ctx.step.run(f"{name}1", lambda: ctx.logger.info("%s1", name))
        await ctx.step.run(f"{name}2", lambda: ctx.logger.info("%s2", name))

    await ctx.group.parallel((lambda: lane("a"), lambda: lane("b")))
    ctx.logger.info("end")


@pytest.mark.parametrize("fn", both(logs_in_group, by=client))
def test_each_body_of_a_group_logs_once(fn: Function, lines: Any) -> None:
    run(fn)

    assert lines() == ["start", "a1", "b1", "a2", "b2", "end"]


def test_results_that_left_the_code_do_not_silence_what_follows(lines: Any) -> None:
    def handler(ctx: Any) -> Any:
        if ctx.event.data["n"] == 1:
            ctx.step.run("gone", lambda: 1)
        ctx.step.run("kept", lambda: 2)
        ctx.logger.info("after kept")

    engine = Engine(function(handler, by=client))
    engine.step()
    engine.event = {**engine.event, "data": {"n": 2}}

    engine.run()

    assert lines() == ["after kept"]


def test_later_calls_use_a_logger_that_was_set_meanwhile() -> None:
    calls: list[str] = []

    class Recording(logging.Logger):
        def info(self, message: object, *args: object, **kwargs: object) -> None:  # type: ignore[override]
            calls.append(str(message))

    fresh = make_client()
    fn = function(lambda ctx: ctx.logger.info("hello"), by=fresh)
    fresh.set_logger(Recording("x"))

    run(fn)

    assert calls == ["hello"]


def test_other_attributes_pass_through(lines: Any) -> None:
    def handler(ctx: Any) -> Any:
        return [ctx.logger.name, ctx.step.run("a", lambda: 1)]

    assert run(function(handler, by=client)).output == ["tests.author", 1]
