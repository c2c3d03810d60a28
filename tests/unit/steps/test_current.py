from __future__ import annotations

from typing import Any

import pytest

from inngest_django.experimental import get_step_context, set_step_context, step
from inngest_django.functions.function import Function
from inngest_django.steps.tools import StepSync
from tests.unit.drivers.harness import run
from tests.unit.drivers.support import both, function


@step("step_1")
def audit(action: str, *, loud: bool = False) -> str:
    calls.append(action)
    return f"logged {action}{'!' if loud else ''}"


@step("step_1")
async def async_audit(action: str) -> str:
    calls.append(action)
    return f"logged {action}"


calls: list[str] = []


@pytest.fixture(autouse=True)
def _empty() -> None:
    calls.clear()


def test_decorated_function_is_a_step_inside_a_function() -> None:
    engine = run(function(lambda ctx: audit("login", loud=True)))

    assert engine.output == "logged login!"
    assert engine.stored("step_1").value == "logged login!"
    assert calls == ["login"]


def test_decorated_async_function_is_a_step_inside_an_async_function() -> None:
    async def handler(ctx: Any) -> str:
        return await async_audit("login")

    engine = run(function(handler))

    assert engine.stored("step_1").value == "logged login"
    assert calls == ["login"]


def test_decorated_function_is_called_as_it_is_elsewhere() -> None:
    assert audit("x") == "logged x"
    assert calls == ["x"]


def test_plain_step_in_an_async_function_is_refused_with_the_remedy() -> None:
    async def handler(ctx: Any) -> str:
        return audit("login")

    assert "async def" in run(function(handler, retries=3)).error["message"]


async def mixed(ctx: Any) -> Any:
    assert type(get_step_context()).__name__ in ("Step", "StepSync")
    return await ctx.step.run("own", lambda: "own")


@pytest.mark.parametrize("fn", both(mixed))
def test_step_context_is_set_inside_functions(fn: Function) -> None:
    assert run(fn).output == "own"


def test_step_of_the_context_and_of_ctx_are_ordinary_steps() -> None:
    def handler(ctx: Any) -> Any:
        tools = get_step_context()
        assert isinstance(tools, StepSync)
        return [tools.run("a", lambda: 1), ctx.step.run("a", lambda: 2)]

    assert run(function(handler)).output == [1, 2]


def test_step_context_is_gone_after_the_call() -> None:
    async def handler(ctx: Any) -> None:
        get_step_context()

    run(function(handler))
    run(function(lambda ctx: get_step_context() and None))

    with pytest.raises(LookupError):
        get_step_context()


def test_step_context_does_not_nest() -> None:
    tools = StepSync(None)  # type: ignore[arg-type]

    with set_step_context(tools):
        assert get_step_context() is tools
        with pytest.raises(Exception, match=r"^Step context already set$"), set_step_context(tools):
            pass
    with pytest.raises(LookupError):
        get_step_context()
