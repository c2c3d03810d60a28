from __future__ import annotations

import functools
from typing import Any

import pytest

from inngest_django.drivers.base import Discovered
from inngest_django.errors import StepError
from inngest_django.events import Event
from inngest_django.functions.function import Function
from inngest_django.ids import hash_step_id
from inngest_django.states import OpKind
from inngest_django.steps.groups import ParallelMode
from tests.unit.drivers.harness import Engine, run, value_of
from tests.unit.drivers.support import both, function, make_client

seen: list[Any] = []
RACE = ParallelMode.RACE


@pytest.fixture(autouse=True)
def _empty() -> None:
    seen.clear()


class Sending:
    """A client that only remembers what it sent."""

    def __init__(self) -> None:
        self.sent: list[Event] = []


def fail(text: str) -> None:
    raise ValueError(text)


child = function(lambda ctx: None, fn_id="child")


async def case_22(ctx: Any) -> Any:
    seen.append("entry")
    results = await ctx.group.parallel(
        (
            functools.partial(ctx.step.invoke, "invoke", function=child),
            lambda: ctx.step.run("a", lambda: seen.append("a") or "a"),
            lambda: ctx.step.run("b", lambda: seen.append("b") or "b"),
            lambda: ctx.step.run("send", lambda: ["id"]),
        )
    )
    after = await ctx.step.run("after", lambda: seen.append("after"))
    return [*results, after]


@pytest.mark.parametrize("fn", both(case_22))
def test_group_is_planned_run_and_joined_in_six_entries(fn: Function) -> None:
    engine = run(fn, answers={"invoke": {"nested": [1]}})

    assert engine.output == [{"nested": [1]}, "a", "b", ["id"], None]
    assert seen.count("entry") == 6
    assert [x for x in seen if x != "entry"] == ["a", "b", "after"]
    plan = engine.entries[0]
    assert [op.kind for op in plan.ops] == [
        OpKind.INVOKE_FUNCTION,
        OpKind.STEP_PLANNED,
        OpKind.STEP_PLANNED,
        OpKind.STEP_PLANNED,
    ]
    assert {op.mode for op in plan.ops} == {"wait"}
    assert engine.entries[-2].ops[0].mode == ""


def lanes(mode: ParallelMode) -> Any:
    async def handler(ctx: Any) -> Any:
        seen.append("entry")

        async def lane(name: str) -> list[str]:
            return [
                await ctx.step.run(f"{name}.1", lambda: f"{name}1"),
                await ctx.step.run(f"{name}.2", lambda: f"{name}2"),
            ]

        return await ctx.group.parallel((lambda: lane("a"), lambda: lane("b")), mode)

    return handler


@pytest.mark.parametrize("fn", both(lanes(ParallelMode.WAIT)))
def test_waiting_branches_advance_in_lockstep(fn: Function) -> None:
    engine = run(fn)

    assert engine.output == [["a1", "a2"], ["b1", "b2"]]
    assert engine.settled == ["a.1", "b.1", "a.2", "b.2"]
    assert seen == ["entry"] * 7


@pytest.mark.parametrize("fn", both(lanes(RACE)))
def test_racing_branches_advance_on_their_own(fn: Function) -> None:
    engine = run(fn, first=["a.1", "a.2"])

    assert engine.output == [["a1", "a2"], ["b1", "b2"]]
    assert engine.settled == ["a.1", "a.2", "b.1", "b.2"]
    assert engine.entries[0].ops[0].mode == "race"


async def empty(ctx: Any) -> Any:
    return [await ctx.group.parallel(()), await ctx.group.parallel([])]


@pytest.mark.parametrize("fn", both(empty))
def test_empty_group_returns_an_empty_tuple(fn: Function) -> None:
    assert run(fn).output == [[], []]


async def one_branch(ctx: Any) -> Any:
    async def without_steps() -> int:
        return 7

    return await ctx.group.parallel((lambda: ctx.step.run("a", lambda: 1), without_steps))


@pytest.mark.parametrize("fn", both(one_branch))
def test_single_step_of_a_group_is_planned_not_run(fn: Function) -> None:
    engine = run(fn)

    assert engine.output == [1, 7]
    assert engine.entries[0].ops[0].kind is OpKind.STEP_PLANNED


async def nested(ctx: Any) -> Any:
    async def inner() -> Any:
        return await ctx.group.parallel(
            (
                lambda: ctx.step.run("i1", lambda: "i1"),
                lambda: ctx.step.run("i2", lambda: "i2"),
            )
        )

    return await ctx.group.parallel((inner, lambda: ctx.step.run("o", lambda: "o")), RACE)


@pytest.mark.parametrize("fn", both(nested))
def test_nested_groups_are_planned_together_in_the_outer_race(fn: Function) -> None:
    engine = run(fn)

    assert engine.output == [["i1", "i2"], "o"]
    assert [(op.name, op.mode) for op in engine.entries[0].ops] == [
        ("i1", "race"),
        ("i2", "race"),
        ("o", "race"),
    ]


async def mixed(ctx: Any) -> Any:
    return await ctx.group.parallel(
        (
            lambda: ctx.step.sleep("s", 5),
            lambda: ctx.step.wait_for_event("w", event="x", timeout=5000),
            lambda: ctx.step.transaction("t", lambda: 1),
        )
    )


@pytest.mark.parametrize("fn", both(mixed))
def test_steps_of_all_kinds_may_be_mixed(fn: Function) -> None:
    event = {"name": "x", "id": "1", "ts": 5, "data": {}}

    engine = Engine(fn, answers={"w": event})
    engine.step()

    kinds = [op.kind for op in engine.entries[0].ops]
    assert kinds == [OpKind.SLEEP, OpKind.WAIT_FOR_EVENT, OpKind.STEP_PLANNED]
    assert engine.entries[0].ops[2].opts["transaction"] is True


# Errors --------------------------------------------------------------------------------


async def failing_branch(ctx: Any) -> Any:
    try:
        await ctx.group.parallel(
            (
                lambda: ctx.step.run("bad", fail, "bad"),
                lambda: ctx.step.run("good", lambda: seen.append("good")),
            )
        )
    except StepError as error:
        return [error.message, await ctx.step.run("fallback", lambda: "fallback")]


@pytest.mark.parametrize("fn", both(failing_branch))
@pytest.mark.parametrize("first", ["bad", "good"])
def test_failed_branch_raises_when_the_round_has_ended(fn: Function, first: str) -> None:
    engine = run(fn, first=[first])

    assert engine.output == ["bad", "fallback"]
    assert seen == ["good"]


async def both_fail(ctx: Any, mode: ParallelMode) -> Any:
    try:
        await ctx.group.parallel(
            (
                lambda: ctx.step.run("a", fail, "a"),
                lambda: ctx.step.run("b", fail, "b"),
            ),
            mode,
        )
    except StepError as error:
        chosen = error.message
        await ctx.step.run(f"after-{chosen}", lambda: None)
        await ctx.step.run("end", lambda: None)
        return chosen


@pytest.mark.parametrize("fn", both(functools.partial(both_fail, mode=RACE)))
@pytest.mark.parametrize("winner", ["a", "b"])
def test_race_of_errors_is_decided_by_who_settled_first_on_every_entry(
    fn: Function, winner: str
) -> None:
    engine = run(fn, first=[winner, f"after-{winner}"])

    assert engine.output == winner
    assert [n for n in engine.settled if n.startswith("after")] == [f"after-{winner}"]


@pytest.mark.parametrize("fn", both(functools.partial(both_fail, mode=ParallelMode.WAIT)))
@pytest.mark.parametrize("first", ["a", "b"])
def test_waiting_group_raises_the_first_error_in_order(fn: Function, first: str) -> None:
    assert run(fn, first=[first]).output == "a"


async def drops(ctx: Any) -> Any:
    async def lane() -> None:
        await ctx.step.run("one", lambda: None)
        await ctx.step.run("two", lambda: None)

    try:
        await ctx.group.parallel((lane, lambda: ctx.step.run("bad", fail, "x")), RACE)
    except StepError:
        return await ctx.step.run("fallback", lambda: "fallback")


@pytest.mark.parametrize("fn", both(drops))
def test_decided_race_plans_nothing_more_of_its_group(fn: Function) -> None:
    engine = Engine(fn)
    engine.step()
    for piece in list(engine.pieces.values()):  # Both settle before the next entry.
        engine.work(piece)

    engine.run()

    assert engine.output == "fallback"
    assert [op.name for op in engine.entries[-2].ops] == ["fallback"]
    assert "two" not in {p.op.name for p in engine.pieces.values()}


async def loser_outstanding(ctx: Any) -> Any:
    try:
        await ctx.group.parallel(
            (
                lambda: ctx.step.run("bad", fail, "x"),
                lambda: ctx.step.wait_for_event("slow", event="e", timeout=1000),
            ),
            RACE,
        )
    except StepError:
        await ctx.step.run("c", lambda: seen.append("c"))
        return await ctx.step.run("d", lambda: "d")


@pytest.mark.parametrize("fn", both(loser_outstanding))
def test_function_goes_on_while_a_loser_is_outstanding_and_only_plans(fn: Function) -> None:
    engine = run(fn, hold=["slow"])

    assert engine.output == "d"
    planned = [
        op.name
        for r in engine.entries
        if isinstance(r, Discovered)
        for op in r.ops
        if op.kind is OpKind.STEP_PLANNED
    ]
    assert planned == ["bad", "c", "d"]
    assert seen == ["c"]


async def wait_around_race(ctx: Any) -> Any:
    async def race() -> Any:
        return await ctx.group.parallel(
            (
                lambda: ctx.step.run("r1", fail, "r1"),
                lambda: ctx.step.run("r2", lambda: 2),
            ),
            RACE,
        )

    try:
        await ctx.group.parallel((lambda: ctx.step.run("w", fail, "w"), race))
    except StepError as error:
        first = error.message
        await ctx.step.run(f"after-{first}", lambda: None)
        await ctx.step.run("end", lambda: None)
        return first


@pytest.mark.parametrize("fn", both(wait_around_race))
@pytest.mark.parametrize("order", [["r1", "r2", "w"], ["w", "r1", "r2"], ["r1", "w", "r2"]])
def test_waiting_group_around_a_race_decides_once(fn: Function, order: list[str]) -> None:
    engine = run(fn, first=order)

    assert engine.output == "w"
    assert [n for n in engine.settled if n.startswith("after")] == ["after-w"]


async def plain_error(ctx: Any) -> Any:
    async def broken() -> None:
        fail("in the branch")

    await ctx.group.parallel((lambda: ctx.step.run("a", seen.append, 1), broken))


@pytest.mark.parametrize("fn", both(plain_error))
def test_error_of_a_branch_leaves_the_group_and_drops_its_plan(fn: Function) -> None:
    engine = run(fn)

    assert engine.error["message"] == "in the branch"
    assert len(engine.entries) == 1
    assert seen == []


# Targets -------------------------------------------------------------------------------


async def three(ctx: Any) -> Any:
    await ctx.group.parallel(
        tuple(functools.partial(ctx.step.run, n, functools.partial(seen.append, n)) for n in "abc")
    )


@pytest.mark.parametrize("fn", both(three))
def test_targeted_call_runs_that_step_and_skips_the_others(fn: Function) -> None:
    ids = {n: hash_step_id(n, 0) for n in "abc"}

    response = Engine(fn).call(target=ids["b"], pending=frozenset(ids.values()))

    assert [(op.name, op.kind) for op in response.ops] == [("b", OpKind.STEP_RUN)]
    assert seen == ["b"]


@pytest.mark.parametrize("fn", both(three))
def test_targeted_call_does_not_report_a_step_that_left_a_group(fn: Function) -> None:
    pending = frozenset({hash_step_id("a", 0), hash_step_id("gone", 0)})

    response = Engine(fn).call(target=hash_step_id("gone", 0), pending=pending)

    assert response == Discovered(target_missing=True)
    assert seen == []


async def target_behind_failure(ctx: Any) -> Any:
    await ctx.group.parallel(
        (lambda: ctx.step.run("bad", fail, "x"), lambda: ctx.step.run("b", seen.append, "b"))
    )


@pytest.mark.parametrize("fn", both(target_behind_failure))
def test_failed_sibling_does_not_keep_a_target_from_running(fn: Function) -> None:
    engine = Engine(fn, first=["bad"]).run()

    assert seen == ["b"]
    assert engine.error["message"] == "x"


# Misuse --------------------------------------------------------------------------------


@pytest.mark.parametrize("callables", [5, (1,), (lambda: 1, None)])
def test_group_of_something_else_is_refused(callables: Any) -> None:
    engine = run(function(lambda ctx: ctx.group.parallel(callables), retries=3))

    assert len(engine.entries) == 1
    assert "takes callables without arguments" in engine.error["message"]


def test_invoke_error_reaches_the_function() -> None:
    engine = run(
        function(lambda ctx: ctx.step.invoke("i", function=child)),
        answers={"i": ValueError("child failed")},
    )

    assert engine.error["name"] == "ValueError"
    assert value_of(ValueError("child failed"))["message"] == engine.error["message"]


def test_send_events_in_parallel_sends_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    client = make_client()
    sent: list[str] = []

    def send_sync(events: list[Event], *, skip_middleware: bool) -> list[str]:
        sent.extend(e.name for e in events)
        return [f"id-{e.name}" for e in events]

    monkeypatch.setattr(client, "send_sync", send_sync)

    def handler(ctx: Any) -> Any:
        return ctx.group.parallel(
            (
                lambda: ctx.step.send_event("one", Event(name="a")),
                lambda: ctx.step.send_event("two", [Event(name="b"), Event(name="c")]),
            )
        )

    engine = run(function(handler, by=client))

    assert engine.output == [["id-a"], ["id-b", "id-c"]]
    assert sent == ["a", "b", "c"]
