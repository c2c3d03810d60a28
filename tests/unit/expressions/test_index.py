"""Where waits are stored, and where arriving events look."""

from __future__ import annotations

import pytest

from inngest_django import expressions

NAME = "shop/order.paid"
EVENT: dict[str, object] = {
    "data": {"id": "o1", "n": 1, "ids": [1, 1.0, "a"], "map": {"x": 1, "y": 2}, "null": None}
}


def plan(source: str, event: dict[str, object] = EVENT) -> expressions.WaitPlan:
    program = expressions.compile(source, kind="wait")
    return expressions.plan(program, event=event, event_name=NAME)


def keys(arriving: dict[str, object], *shapes: str) -> frozenset[int]:
    return expressions.keys_of(arriving, event_name=NAME, shapes=shapes).keys


RESIDUAL = expressions.residual_key(NAME)
ID = '[["eq",["data","id"]]]'
ID_AND_N = '[["eq",["data","id"]],["eq",["data","n"]]]'


@pytest.mark.parametrize(
    ("source", "shapes", "count"),
    [
        ("async.data.id == event.data.id", [ID], 1),
        ("event.data.id == async.data.id", [ID], 1),
        ('async["data"]["id"] == "o1"', [ID], 1),
        ("!(async.data.id != event.data.id)", [ID], 1),
        ("async.data.id == event.data.id && async.data.n == 1", [ID_AND_N], 1),
        ("async.data.n == 1 && event.data.id == async.data.id", [ID_AND_N], 1),
        ("!(async.data.n != 1 || async.data.id != 'x')", [ID_AND_N], 1),
        ("async.data.id == 'x' && async.data.total > 100", [ID], 1),
        ("async.data.id == 'x' && now() > date(async.ts)", [ID], 1),
        ("async.data.id in ['x', 'y']", [ID], 2),
        ("async.data.id in event.data.ids", [ID], 2),
        ("async.data.id in event.data.map", [ID], 2),
        ("async.data.id == 'x' || async.data.n == 1", [ID, '[["eq",["data","n"]]]'], 2),
        ("async.data.id == 'x' || async.data.id == 'x'", [ID], 1),
        ("(async.data.id == 'x' || async.data.id == 'y') && async.data.n == 1", [ID_AND_N], 2),
        ("event.data.id == 'o1' && async.data.id == 'x'", [ID], 1),
        ("event.data.id == 'o2' || async.data.id == 'x'", [ID], 1),
        ("async.data.flag", ['[["eq",["data","flag"]]]'], 1),
        ("!async.data.flag", ['[["eq",["data","flag"]]]'], 1),
        ("async.data.l[0].id == 'x'", ['[["eq",["data","l",0,"id"]]]'], 1),
        # The second key is the one that events with a very long list look under.
        ("event.data.id in async.data.tags", ['[["elem",["data","tags"]]]'], 2),
        (
            "async.data.a == 1 && async.data.b == 1 && async.data.c == 1 && "
            "async.data.d == 1 && async.data.e == 1",
            ['[["eq",["data","a"]],["eq",["data","b"]],["eq",["data","c"]],["eq",["data","d"]]]'],
            1,
        ),
    ],
)
def test_indexed_conditions(source: str, shapes: list[str], count: int) -> None:
    result = plan(source)

    assert result.never is False
    assert list(result.shapes) == shapes
    assert len(result.keys) == count
    assert RESIDUAL not in result.keys
    assert all(-(2**63) <= key < 2**63 for key in result.keys)


@pytest.mark.parametrize(
    "source",
    [
        "true",
        "event.data.n == 1",
        "async.data.id != 'x'",
        "async.data.n > 1",
        "!(async.data.id == 'x')",
        "async.data.a == async.data.b",
        "lowercase(async.data.id) == 'x'",
        "async.data.id == event.data.id + async.data.suffix",
        "async.data.at == string(now())",
        "async.data.items.exists(i, i.id == event.data.id)",
        "async.data.n == 1 ? async.data.id == 'x' : false",
        "async.data.id == 'x' || async.data.n > 1",
        "async.data.id == event.data.map && false == true || async.data.n < 2",
        "!('x' in async.data.tags)",
        "has(async.data.id)",
        "async.data.id in async.data.ids",
        "async.data[async.data.field] == 1",
        "async.data.id == [[[[[1]]]]]",
        "async.data." + "x" * 600 + " == 1",
    ],
)
def test_other_conditions_are_tried_on_every_event(source: str) -> None:
    assert plan(source) == expressions.plan_residual(NAME)


@pytest.mark.parametrize(
    "source",
    [
        "false",
        "event.data.n == 2",
        "event.data.gone",
        "event.data.n < 'x'",
        "async.data.id == event.data.n % 0",
        "async.data.id in event.data.null",
        "async.data.id in event.data.n",
        "async.data.id == 'x' && async.data.id == 'y'",
        "async.data.id in ['x', 'y'] && async.data.id == 'z'",
        "async.data.flag && !async.data.flag",
        "async.data.id == 'x' && event.data.n == 2",
        "!(event.data.n == 1 || async.data.id == 'x')",
        "'abc'[0] in async.data.tags",
    ],
)
def test_conditions_that_cannot_become_true(source: str) -> None:
    result = plan(source)

    assert result.never is True
    assert result.keys == result.shapes == ()


def test_no_condition_is_tried_on_every_event() -> None:
    result = expressions.plan(None, event=EVENT, event_name=NAME)

    assert result == expressions.plan_residual(NAME)
    assert result.keys == (RESIDUAL,)


def test_arriving_event_always_looks_at_the_residual_bucket() -> None:
    assert keys({}) == {RESIDUAL}
    assert RESIDUAL in keys({"data": {"id": "x"}}, ID)


def test_event_names_share_no_keys() -> None:
    program = expressions.compile("async.data.id == 'x'", kind="wait")
    one, other = (expressions.plan(program, event={}, event_name=n) for n in ("a", "b"))

    assert one.shapes == other.shapes
    assert not set(one.keys) & set(other.keys)
    assert expressions.residual_key("a") != expressions.residual_key("b")


def test_runs_of_one_function_share_a_shape_and_not_their_keys() -> None:
    source = "async.data.id == event.data.id && async.data.n == event.data.n"
    one = plan(source, {"data": {"id": "a", "n": 1}})
    other = plan(source, {"data": {"id": "b", "n": None}})

    assert one.shapes == other.shapes == (ID_AND_N,)
    assert one.keys != other.keys
    assert set(one.keys) <= keys({"data": {"id": "a", "n": 1.0}}, ID_AND_N)
    assert set(other.keys) <= keys({"data": {"id": "b"}}, ID_AND_N)


def test_too_many_combinations_keep_the_first_condition() -> None:
    many = "[" + ", ".join(f"'{n}'" for n in range(20)) + "]"
    result = plan(f"async.data.id in {many} && async.data.n in {many}")

    assert result.shapes == (ID,)
    assert len(result.keys) == 20


def test_very_long_list_is_looked_up_as_a_whole() -> None:
    source = "event.data.id in async.data.tags && async.data.n == 1"
    result = plan(source)
    [shape] = result.shapes
    short = keys({"data": {"tags": ["o1", "o2"], "n": 1}}, shape)
    long = keys({"data": {"tags": [*map(str, range(2_000)), "o1"], "n": 1}}, shape)

    assert len(short) == 3
    assert len(long) == 2
    assert len(short & set(result.keys)) == 1
    assert len(long & set(result.keys)) == 1


def test_list_with_elements_that_cannot_be_keys_is_still_found() -> None:
    result = plan("event.data.id in async.data.tags")

    found = keys({"data": {"tags": [[[[[[1]]]]], float("nan"), "o1"]}}, *result.shapes)

    assert found & set(result.keys)


def test_path_through_a_string_finds_nothing_and_raises_nothing() -> None:
    result = plan("async.data.l[0] == null")

    assert keys({"data": {"l": "text"}}, *result.shapes) == {RESIDUAL}
    assert keys({"data": {"l": []}}, *result.shapes) & set(result.keys)


def test_each_part_is_evaluated_with_a_budget_of_its_own() -> None:
    # Both lists together would exceed one budget, but ``||`` never tries both.
    part = "(async.data.id == '{0}' && event.data.l.all(i, i >= 0))"
    source = f"{part.format('x')} || {part.format('y')}"
    event: dict[str, object] = {"data": {"l": [1] * 7_000}}
    program = expressions.compile(source, kind="wait")
    result = plan(source, event)

    for value in ("x", "y"):
        arriving: dict[str, object] = {"data": {"id": value}}
        assert program.matches(event=event, arriving=arriving)
        assert keys(arriving, *result.shapes) & set(result.keys)


def test_full_stack_while_planning_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> bool:
        raise RecursionError

    monkeypatch.setattr("inngest_django.expressions.values.equal", fail)

    assert plan("async.data.id == 'x' && event.data.id == 'o1'").never is False


def test_keys_never_change_because_they_are_stored() -> None:
    assert plan("async.data.id == 'o1'").keys == (-1511848290180459305,)
    assert RESIDUAL == -7651985938326841382


def test_only_waits_have_a_plan() -> None:
    program = expressions.compile("event.data.id == 'x'", kind="filter")

    with pytest.raises(
        ValueError, match=r'^A wait needs a program of kind "wait", got "filter"\.$'
    ):
        expressions.plan(program, event={}, event_name=NAME)


def test_shape_of_another_writer_is_refused() -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any will do
        keys({}, "no json")
