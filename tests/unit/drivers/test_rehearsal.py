"""A rehearsal goes through a run's stored results by today's code and does nothing else."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest

import inngest_django as inngest
from inngest_django.drivers.base import Discovered, Returned
from inngest_django.drivers.rehearsal import KnownStep, Rehearsal, rehearse
from inngest_django.functions.function import Function
from inngest_django.ids import hash_step_id
from inngest_django.serialization import loads
from inngest_django.states import OpKind
from tests.unit.drivers.harness import EVENT, RUN_ID, Engine
from tests.unit.drivers.support import both, function, make_client

seen: list[Any] = []


@pytest.fixture(autouse=True)
def _empty() -> None:
    seen.clear()


def known_steps(engine: Engine) -> list[KnownStep]:
    return [
        KnownStep(
            hashed_id=hashed_id,
            name=piece.op.name,
            index=piece.op.index,
            op=piece.memo.op if piece.memo else OpKind.SLEEP,
            is_open=piece.memo is None,
            value=piece.memo.value if piece.memo else None,
            error=piece.memo.error if piece.memo else None,
            revision=piece.memo.revision if piece.memo else 0,
        )
        for hashed_id, piece in engine.pieces.items()
    ]


def go(fn: Function, steps: Sequence[KnownStep]) -> Rehearsal:
    return rehearse(fn, run_id=RUN_ID, events=[EVENT], steps=steps)


def names(steps: Sequence[Any]) -> list[str]:
    return [str(step) for step in steps]


async def old(ctx: Any) -> Any:
    found = [await ctx.step.run("a", lambda: seen.append("a") or 1)]
    found.append(await ctx.step.run("b", lambda: seen.append("b") or 2))
    await ctx.step.sleep("pause", "1h")
    return [*found, await ctx.step.run("c", lambda: seen.append("c") or 3)]


async def renamed(ctx: Any) -> Any:
    found = [await ctx.step.run("a", lambda: seen.append("a") or 1)]
    found.append(await ctx.step.run("b2", lambda: seen.append("b2") or 2))
    await ctx.step.sleep("pause", "1h")
    return [*found, await ctx.step.run("c", lambda: seen.append("c") or 3)]


async def without_pause(ctx: Any) -> Any:
    found = [await ctx.step.run("a", lambda: 1), await ctx.step.run("b", lambda: 2)]
    return [*found, await ctx.step.run("c", lambda: 3)]


async def emptied(ctx: Any) -> Any:
    return "nothing left"


async def broken(ctx: Any) -> Any:
    first = await ctx.step.run("a", lambda: 1)
    return first["key"]


@pytest.fixture
def asleep() -> list[KnownStep]:
    """The steps of a run of ``old`` that sleeps."""
    steps = known_steps(Engine(both(old)[0], hold=["pause"]).run())
    seen.clear()
    return steps


@pytest.mark.parametrize("fn", both(old))
def test_same_code_meets_everything(fn: Function, asleep: list[KnownStep]) -> None:
    rehearsal = go(fn, asleep)

    assert names(rehearsal.met) == ["a", "b", "pause"]
    assert all(step.known for step in rehearsal.met)
    assert rehearsal.unmet == rehearsal.new == ()
    assert not rehearsal.is_over
    assert seen == []


@pytest.mark.parametrize("fn", both(renamed))
def test_renamed_step_is_new_and_not_run(fn: Function, asleep: list[KnownStep]) -> None:
    rehearsal = go(fn, asleep)

    assert names(rehearsal.met) == ["a", "b2"]
    assert rehearsal.met[1].known is None
    assert names(rehearsal.unmet) == ["b", "pause"]
    assert [(op.name, op.kind) for op in rehearsal.new] == [("b2", OpKind.STEP_PLANNED)]
    assert seen == []


@pytest.mark.parametrize("fn", both(without_pause))
def test_parked_step_that_is_gone(fn: Function, asleep: list[KnownStep]) -> None:
    rehearsal = go(fn, asleep)

    assert names(rehearsal.unmet) == ["pause"]
    assert rehearsal.unmet[0].is_open
    assert [op.name for op in rehearsal.new] == ["c"]


@pytest.mark.parametrize("fn", both(emptied))
def test_end_without_steps(fn: Function, asleep: list[KnownStep]) -> None:
    rehearsal = go(fn, asleep)

    assert rehearsal.is_over
    assert rehearsal.error is None
    assert rehearsal.met == ()
    assert names(rehearsal.unmet) == ["a", "b", "pause"]


@pytest.mark.parametrize("fn", both(broken))
def test_error_between_steps_is_told_and_not_logged(
    fn: Function, asleep: list[KnownStep], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    rehearsal = go(fn, asleep)

    assert rehearsal.error is not None
    assert rehearsal.error["name"] == "TypeError"
    assert [record for record in caplog.records if record.name != "asyncio"] == []


async def group(ctx: Any) -> Any:
    return await ctx.group.parallel(
        (
            lambda: ctx.step.run("left", lambda: 1),
            lambda: ctx.step.sleep("nap", "1h"),
            lambda: ctx.step.run("right", lambda: 2),
        )
    )


@pytest.mark.parametrize("fn", both(group))
def test_group_is_met_in_every_branch(fn: Function) -> None:
    steps = known_steps(Engine(fn, hold=["nap"]).run())

    rehearsal = go(fn, [step for step in steps if step.name != "right"])

    assert names(rehearsal.met) == ["left", "nap", "right"]
    assert [op.name for op in rehearsal.new] == ["right"]
    assert isinstance(rehearsal.response, Discovered)


async def repeated(ctx: Any) -> Any:
    return [await ctx.step.run("again", lambda: 0) for _ in range(3)]


@pytest.mark.parametrize("fn", both(repeated))
def test_uses_of_one_id_are_told_apart(fn: Function) -> None:
    steps = [
        KnownStep(hashed_id=hash_step_id("again", n), name="again", index=n, revision=n + 1)
        for n in range(4)
    ]

    ended, short = go(fn, steps), go(fn, steps[:2])

    assert names(ended.met) == ["again", "again:1", "again:2"]
    assert names(ended.unmet) == ["again:3"]
    assert [(op.name, op.index) for op in short.new] == [("again", 2)]


async def pauses(ctx: Any) -> Any:
    await ctx.step.sleep("a", "1h")


@pytest.mark.parametrize("fn", both(pauses))
def test_step_of_another_kind_is_told(fn: Function, asleep: list[KnownStep]) -> None:
    [met] = go(fn, asleep).met

    assert met.is_other_kind


class _Sealed(inngest.MiddlewareSync):
    def transform_input(self, ctx: Any, function: Any, steps: Any) -> None:
        for memo in steps.values():
            memo.data = loads(memo.data.removeprefix("sealed "))

    def before_execution(self) -> None:
        seen.append("before_execution")

    def after_execution(self) -> None:
        seen.append("after_execution")

    def transform_output(self, result: Any) -> None:
        seen.append("transform_output")

    def before_response(self) -> None:
        seen.append("before_response")


def _branch(ctx: Any) -> Any:
    name = ctx.step.run("choose", lambda: {"next": "x"})["next"]
    return ctx.step.run(name, lambda: 1)


@pytest.mark.parametrize("place", ["client", "function"])
def test_middleware_opens_the_results_and_does_nothing_else(place: str) -> None:
    client = make_client(middleware=[_Sealed] if place == "client" else [])
    options: dict[str, Any] = {"middleware": [_Sealed]} if place == "function" else {}
    fn = function(_branch, by=client, **options)
    chosen = KnownStep(
        hashed_id=hash_step_id("choose", 0), name="choose", value='sealed {"next": "y"}', revision=1
    )

    rehearsal = go(fn, [chosen])

    assert [op.name for op in rehearsal.new] == ["y"]
    assert seen == []


def test_the_function_itself_is_left_as_it_was() -> None:
    client = make_client(middleware=[_Sealed])
    fn = function(_branch, by=client, middleware=[_Sealed])
    logger = client.logger

    go(fn, [])

    assert client.middleware == [_Sealed]
    assert fn.middleware == [_Sealed]
    assert client.logger is logger
    assert fn.handler is _branch


def test_nothing_is_sent() -> None:
    client = make_client()

    def plain(ctx: Any) -> Any:
        return client.send_sync([inngest.Event(name="x", id="mine"), inngest.Event(name="y")])

    async def asynchronous(ctx: Any) -> Any:
        return await client.send([inngest.Event(name="x", id="mine"), inngest.Event(name="y")])

    # No database may be used here, so that a send that is none would raise.
    for fn in (function(plain, by=client), function(asynchronous, by=client)):
        response = go(fn, []).response
        assert isinstance(response, Returned)
        mine, other = loads(response.output)
        assert mine == "mine"
        assert len(other) == 26


def test_a_run_of_many_steps_is_under_no_limit() -> None:
    steps = [
        KnownStep(hashed_id=hash_step_id("again", n), name="again", index=n, revision=n + 1)
        for n in range(1200)
    ]

    def many(ctx: Any) -> Any:
        for _ in range(1300):
            ctx.step.run("again", lambda: 0)

    assert [op.index for op in go(function(many), steps).new] == [1200]
