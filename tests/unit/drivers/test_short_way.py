"""Recorded steps, and open ones of others, are passed without the driver's long way."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import pytest

from inngest_django.drivers import calls
from inngest_django.drivers.base import Discovered, Op, Raised
from inngest_django.drivers.calls import Call
from inngest_django.errors import NonRetriableError, StepError
from inngest_django.functions.middleware import MiddlewareSync
from inngest_django.ids import hash_step_id
from inngest_django.steps.groups import ParallelMode
from inngest_django.steps.specs import UNSET, Spec
from tests.unit.drivers.harness import Engine, run
from tests.unit.drivers.support import both, function


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the steps that took the long way."""
    ids: list[str] = []
    meet = Call.meet

    async def noted(self: Call, spec: Spec) -> Any:
        ids.append(spec.step_id)
        return await meet(self, spec)

    monkeypatch.setattr(Call, "meet", noted)
    return ids


async def in_a_row(ctx: Any) -> int:
    total = 0
    for number in range(5):
        total += await ctx.step.run(f"s{number}", lambda: 1)
    await ctx.step.sleep("nap", "1h")
    total += await ctx.step.transaction("last", lambda: 1)
    return int(total)


@pytest.mark.parametrize("fn", both(in_a_row))
def test_only_the_last_result_and_what_is_new_are_looked_at(fn: Any, met: list[str]) -> None:
    engine = run(fn)
    met.clear()

    engine.call()

    assert engine.output == 6
    assert met == ["last"]


async def side_by_side(ctx: Any) -> int:
    steps = [functools.partial(ctx.step.run, f"s{number}", lambda: 1) for number in range(4)]
    return sum(await ctx.group.parallel(tuple(steps)))


def kinds(ctx: Any) -> tuple[Callable[[], Any], ...]:
    run, step = ctx.step.run, functools.partial
    return (
        step(run, "same", lambda: 1),
        step(run, "same", lambda: 2),
        step(run, "same:1", lambda: 3),
        step(run, "given", lambda text: text, "4"),
        step(run, step_id="named", handler=lambda: 5),
        step(ctx.step.transaction, "transaction", lambda: 6),
        step(ctx.step.sleep, "nap", "1h"),
        step(step(run, "nested"), lambda: 7),
        lambda: run("called", lambda: 8),
        step(run, "last", lambda: 9),
    )


def plain_kinds(ctx: Any) -> list[Any]:
    return [*ctx.group.parallel(kinds(ctx)), ctx.step.run("same", lambda: 10)]


async def async_kinds(ctx: Any) -> list[Any]:
    found = await ctx.group.parallel(kinds(ctx))
    return [*found, await ctx.step.run("same", lambda: 10)]


KINDS = (plain_kinds, async_kinds)


@pytest.mark.parametrize("fn", both(side_by_side))
def test_task_of_a_branch_looks_at_its_own_step_only(fn: Any, met: list[str]) -> None:
    engine = Engine(fn, hold=("s0", "s1", "s2", "s3")).run()
    met.clear()

    response = engine.call(target=hash_step_id("s2", 0))

    assert [op.name for op in response.ops] == ["s2"]
    assert met == ["s2"]


@pytest.mark.parametrize("handler", KINDS)
def test_branch_that_is_an_open_step_of_another_is_not_called(
    handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(function(handler), hold=("given", "nap", "last")).run()
    engine.pieces = {key: piece for key, piece in engine.pieces.items() if piece.memo is None}
    asked: list[str] = []
    recorded = Call.recorded

    def noted(self: Call, step_id: str, *rest: Any) -> Any:
        asked.append(step_id)
        return recorded(self, step_id, *rest)

    monkeypatch.setattr(Call, "recorded", noted)

    response = engine.call(target=hash_step_id("last", 0))

    assert [op.name for op in response.ops] == ["last"]
    # Of the steps that are partials of ``run`` the one that is open is missing.
    assert asked == [
        *("same", "same", "same:1", "named", "transaction"),
        *("nap", "nested", "called", "last"),
    ]


@pytest.mark.parametrize("handler", KINDS)
def test_each_branch_finds_its_own_step(handler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def entries() -> list[Any]:
        engine = run(function(handler, middleware=[Counting]))
        assert engine.output == [1, 2, 3, "4", 5, 6, None, 7, 8, 9, 10]
        return [*map(plain, engine.entries), *Counting.seen]

    Counting.seen.clear()
    short = entries()
    monkeypatch.setattr(calls, "steps_of", lambda branches, _: [None] * len(branches))
    Counting.seen.clear()

    assert short == entries()


async def repeated(ctx: Any) -> list[Any]:
    found = [await ctx.step.run("a:1", lambda: "literal")]
    for number in range(4):
        found.append(await ctx.step.run("a", lambda number=number: {"number": [number]}))
        await ctx.step.sleep("nap", "1h")
    return found


async def failing(ctx: Any) -> str:
    def fail() -> None:
        raise NonRetriableError("no")

    await ctx.step.run("first", lambda: 1)
    try:
        await ctx.step.run("bad", lambda: 1 // 0)
    except StepError as error:
        await ctx.step.run("after", functools.partial(str, error))
    await ctx.step.run("worst", fail)
    return "never"


async def racing(ctx: Any) -> Any:
    async def slow() -> Any:
        await ctx.step.run("slow-1", lambda: 1)
        return await ctx.step.run("slow-2", lambda: 1 // 0)

    async def quick() -> Any:
        return await ctx.step.run("quick", lambda: 1 // 0)

    await ctx.step.run("before", lambda: 1)
    try:
        await ctx.group.parallel((slow, quick), parallel_mode=ParallelMode.RACE)
    except StepError as error:
        return [str(error), await ctx.step.run("after", lambda: 2)]
    return None


async def grouped(ctx: Any) -> Any:
    async def one(name: str) -> Any:
        first = await ctx.step.run("same", lambda: name)
        return first + await ctx.step.run(f"{name}-2", lambda: "!")

    names = [functools.partial(one, name) for name in "abc"]
    found = await ctx.group.parallel(tuple(names))
    return [*found, await ctx.step.run("same", lambda: "end")]


class Counting(MiddlewareSync):
    seen: list[str] = []

    def transform_input(self, ctx: Any, function: Any, steps: Any) -> None:
        self.seen.append("transform_input")
        self.steps = steps

    def before_execution(self) -> None:
        self.seen.append("before_execution")
        for memo in self.steps.values():
            self.seen.append(repr(memo.data))

    def after_execution(self) -> None:
        self.seen.append("after_execution")

    def transform_output(self, result: Any) -> None:
        self.seen.append("transform_output")

    def before_response(self) -> None:
        self.seen.append("before_response")


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    "description", [in_a_row, side_by_side, repeated, failing, racing, grouped]
)
def test_short_way_leads_to_what_the_long_one_leads_to(
    description: Callable[..., Any], checkpointing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entries() -> list[Any]:
        Counting.seen.clear()
        found: list[Any] = []
        for fn in both(description, middleware=[Counting]):
            engine = run(fn, checkpointing=checkpointing)
            found += [plain(entry) for entry in engine.entries]
        return [*found, *Counting.seen]

    short = entries()
    monkeypatch.setattr(Call, "recorded", lambda *_: UNSET)

    assert short == entries()


def plain(response: Any) -> Any:
    """Return a response without times and tracebacks."""

    def without(op: Op) -> Op:
        error = op.error and (op.error["name"], op.error["message"], op.error["code"])
        return dataclasses.replace(op, started_at=None, error=error)  # type: ignore[arg-type]

    if isinstance(response, Raised):
        return response.error["name"], response.error["message"], response.error["code"]
    if isinstance(response, Discovered):
        return dataclasses.replace(response, ops=tuple(without(op) for op in response.ops))
    return response


def test_recorded_step_in_a_body_is_refused() -> None:
    is_changed = False

    def handler(ctx: Any) -> None:
        if is_changed:
            ctx.step.run("new", lambda: ctx.step.run("a", lambda: 1))
        for name in "abc":
            ctx.step.run(name, lambda: 1)
        ctx.step.sleep("nap", "1h")

    engine = Engine(function(handler), hold=("nap",)).run()
    engine.pieces = {key: piece for key, piece in engine.pieces.items() if piece.memo is not None}
    is_changed = True

    response = engine.call()

    assert [op.error["code"] for op in response.ops] == ["step_nested"]


def test_recorded_step_after_a_swallowed_interrupt_is_refused() -> None:
    is_changed = False

    def handler(ctx: Any) -> None:
        if is_changed:
            with contextlib.suppress(BaseException):
                ctx.step.run("new", lambda: 1)
        for name in "abc":
            ctx.step.run(name, lambda: 1)
        ctx.step.sleep("nap", "1h")

    engine = Engine(function(handler), hold=("nap",)).run()
    engine.pieces = {key: piece for key, piece in engine.pieces.items() if piece.memo is not None}
    is_changed = True

    response = engine.call()

    assert response.error["code"] == "interrupt_swallowed"


class Unequal:
    """A callable of the author's that cannot be compared, as arrays cannot."""

    def __init__(self, ctx: Any) -> None:
        self.ctx = ctx

    def __eq__(self, other: object) -> bool:
        raise TypeError("not comparable")

    __hash__ = None  # type: ignore[assignment]

    def __call__(self, step_id: str, body: Any) -> Any:
        return self.ctx.step.run(step_id, body)


def test_a_branch_of_a_callable_that_cannot_be_compared_is_called() -> None:
    def handler(ctx: Any) -> Any:
        steps = Unequal(ctx)
        return ctx.group.parallel(
            tuple(functools.partial(steps, name, lambda name=name: name) for name in "ab")
        )

    assert run(function(handler)).output == ["a", "b"]
