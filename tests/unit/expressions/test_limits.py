"""Where the limits are: as much is allowed, one more is not."""

from __future__ import annotations

from typing import Any

import pytest

from inngest_django import expressions
from inngest_django.expressions import evaluation
from inngest_django.expressions.validation import ExpressionKind


def is_allowed(source: str, kind: ExpressionKind = "filter") -> bool:
    try:
        expressions.compile(source, kind=kind)
    except expressions.ExpressionError as error:
        if error.kind == "limit":
            return False
        raise
    return True


def value_of(source: str, **data: object) -> object:
    """Return the value for an event with these data, or "limit"."""
    program = expressions.compile(source, kind="filter")
    try:
        return program.evaluate(event={"data": data})
    except expressions.ExpressionError as error:
        if error.kind == "limit":
            return "limit"
        raise


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_characters_of_the_source() -> None:
    for kind, most in (("filter", 2_048), ("wait", 2_048), ("priority", 2_048), ("key", 1_024)):
        name = "event." + "a" * (most - 6)
        assert is_allowed(name, kind)  # type: ignore[arg-type]  # a kind
        assert not is_allowed(name + "a", kind)  # type: ignore[arg-type]  # a kind


def test_backslashes_and_brackets_of_the_source() -> None:
    assert is_allowed("'" + "\\n" * 10 + "'")
    assert not is_allowed("'" + "\\n" * 11 + "'")
    assert is_allowed("(" * 24 + "1" + ")" * 24)
    assert not is_allowed("(" * 25 + "1" + ")" * 25)
    # Closing brackets count, and one too many gives no credit.
    assert is_allowed("'" + ")" * 9 + "(" * 24 + ")" * 9 + "(" * 9 + "'")
    assert not is_allowed("'" + ")" * 9 + "(" * 24 + ")" * 9 + "(" * 10 + "'")
    assert is_allowed("'" + "(" * 24 + ")" * 24 + "('")
    assert not is_allowed("'" + "[" * 8 + "{" * 8 + "(" * 9 + "'")


def test_parts_of_an_expression() -> None:
    assert is_allowed("[" + ", ".join(["1"] * 399) + "]")
    assert not is_allowed("[" + ", ".join(["1"] * 400) + "]")


@pytest.mark.parametrize(
    ("around", "levels"),
    [
        ("%s", 0),
        ("-(%s)", 1),
        ("true && %s", 1),
        ("%s && true", 1),
        ("true || false || %s", 1),
        ("%s + 1", 1),
        ("1 + %s", 1),
        ("%s ? 1 : 2", 1),
        ("true ? %s : 2", 1),
        ("true ? 1 : %s", 1),
        ("[%s]", 1),
        ('{"a": %s}', 1),
        ("{%s: 1}", 1),
        ("size(%s)", 1),
        ("event.name.contains(%s)", 1),
        ('string(%s).contains("a")', 2),
        ("event[%s]", 1),
        ("[%s][event.n]", 2),
        ("[%s][0]", 2),
        ("[%s][0].a.b", 2),
        ("event.l.map(i, %s)", 1),
        ("[%s].map(i, i)", 2),
        ("has([%s][0].a)", 3),
    ],
)
def test_every_operator_is_one_level(around: str, levels: int) -> None:
    assert is_allowed(around % ("!" * (23 - levels) + "true"))
    assert not is_allowed(around % ("!" * (24 - levels) + "true"))


def test_size_of_what_is_joined() -> None:
    assert value_of("size(event.data.x + event.data.y)", x="a" * 65_535, y="b") == 65_536
    assert value_of("size(event.data.x + event.data.y)", x="a" * 65_535, y="bb") == "limit"
    assert value_of("size(event.data.x + event.data.y)", x=[1] * 9_999, y=[2]) == 10_000
    assert value_of("size(event.data.x + event.data.y)", x=[1] * 9_999, y=[2, 2]) == "limit"


def test_size_of_what_is_decoded_and_of_patterns() -> None:
    assert value_of("json_parse(event.data.x)", x="1" + " " * 65_535) == 1
    assert value_of("json_parse(event.data.x)", x="1" + " " * 65_536) == "limit"
    assert value_of("size(b64decode(event.data.x))", x="YWFh" * 16_384) == 49_152
    assert value_of("b64decode(event.data.x)", x="YWFh" * 16_385) == "limit"
    assert value_of("event.data.x.matches(event.data.x)", x="a" * 200) is True
    assert value_of("event.data.x.matches(event.data.x)", x="a" * 201) == "limit"


def test_depth_of_what_is_compared() -> None:
    assert value_of("event.data.x == event.data.y", x=nested(64), y=nested(64)) is True
    assert value_of("event.data.x == event.data.y", x=nested(65), y=nested(65)) == "limit"
    maps = [{"k": nested(63)}, {"k": nested(63)}, {"k": nested(64)}, {"k": nested(64)}]
    assert value_of("event.data.m[0] == event.data.m[1]", m=maps) is True
    assert value_of("event.data.m[2] == event.data.m[3]", m=maps) == "limit"


def test_whole_numbers_fit_in_64_bits() -> None:
    assert value_of("event.data.x + 1", x=2**63 - 2) == 2**63 - 1
    assert value_of("event.data.x - 1", x=-(2**63) + 1) == -(2**63)
    for source, x in (("event.data.x + 1", 2**63 - 1), ("event.data.x - 1", -(2**63))):
        with pytest.raises(expressions.ExpressionError, match="64 bits"):
            value_of(source, x=x)
    for text in ("9223372036854775807", "-9223372036854775808"):
        assert value_of("int(event.data.x)", x=text) == int(text)
    for text in ("9223372036854775808", "-9223372036854775809", "1" * 100):
        with pytest.raises(expressions.ExpressionError, match="cannot convert"):
            value_of("int(event.data.x)", x=text)


def test_turns_of_a_macro() -> None:
    for macro in ("all(i, true)", "exists(i, false)", "filter(i, true)", "map(i, 1)"):
        assert value_of(f"event.data.x.{macro}", x=[1] * 10_000) != "limit"
        assert value_of(f"event.data.x.{macro}", x=[1] * 10_001) == "limit"
    assert value_of("event.data.x.exists_one(i, i == 2)", x=[*[1] * 9_999, 2]) is True
    assert value_of("event.data.x.exists_one(i, i == 2)", x=[*[1] * 10_000, 2]) == "limit"


@pytest.mark.parametrize(
    ("source", "cost"),
    [
        ("event.data.text", 0),
        ("event.data.n == 1", 0),
        ('event.data.text.contains("b")', 10),
        ('event.data.text.matches("b")', 40),
        ("lowercase(event.data.text)", 10),
        ("uppercase(event.data.text)", 10),
        ("event.data.text + event.data.text", 20),
        ("event.data.text + 1", 10),
        ("json_parse(event.data.json)", 20),
        ("b64decode(event.data.encoded)", 4),
        ("event.data.list + event.data.list", 6),
        ("event.data.list == event.data.list", 3),
        ("event.data.list == event.data.longer", 0),
        ("[event.data.list] == [event.data.list]", 4),
        ("event.data.map == event.data.map", 2),
        ("{'a': event.data.map} == {'a': event.data.map}", 3),
        ("9 in event.data.list", 3),
        ("event.data.list.map(i, i)", 300),
        ("event.data.list.all(i, i in event.data.list)", 309),
        ("event.data.list.exists(i, i == 1)", 100),
    ],
)
def test_work_is_charged_by_its_size(source: str, cost: int) -> None:
    data = {
        "text": "a" * 320,
        "n": 1,
        "json": "1" + " " * 19,
        "encoded": "YWFh",
        "list": [1, 2, 3],
        "longer": [1, 2, 3, 4],
        "map": {"a": 1, "b": 2},
    }
    program = expressions.compile(source, kind="filter")
    under_way = evaluation.Evaluation({"data": data})

    program._run(under_way)

    assert evaluation.BUDGET - under_way._units == cost


def keys_and_shapes(source: str, **data: object) -> tuple[int, list[str]]:
    program = expressions.compile(source, kind="wait")
    plan = expressions.plan(program, event={"data": data}, event_name="a/b")
    return len(plan.keys), list(plan.shapes)


A, B = '[["eq",["data","a"]]]', '[["eq",["data","b"]]]'
A_AND_B = '[["eq",["data","a"]],["eq",["data","b"]]]'
NOT_LOOKED_UP: tuple[int, list[str]] = (1, [])


def test_alternatives_of_a_wait() -> None:
    within = "async.data.a in event.data.x"
    assert keys_and_shapes(within, x=list(range(32))) == (32, [A])
    assert keys_and_shapes(within, x=[*range(32), *range(32)]) == (32, [A])
    assert keys_and_shapes(within, x=list(range(33))) == NOT_LOOKED_UP

    one_of = [f"async.data.a == {n}" for n in range(33)]
    assert keys_and_shapes(" || ".join(one_of[:32])) == (32, [A])
    assert keys_and_shapes(" || ".join(one_of)) == NOT_LOOKED_UP

    both = f"{within} && async.data.b in event.data.y"
    assert keys_and_shapes(both, x=[*range(4)], y=[*range(8)]) == (32, [A_AND_B])
    assert keys_and_shapes(both, x=[*range(4)], y=[*range(9)]) == (4, [A])


def test_size_of_what_is_looked_up() -> None:
    equal = "async.data.a == event.data.x"
    for small, large in (
        ([1] * 63, [1] * 64),
        (nested(4), nested(5)),
        (2**1_100 - 1, 2**1_100),
        (-(2**1_100) + 1, -(2**1_100)),
    ):
        assert keys_and_shapes(equal, x=small) == (1, [A])
        assert keys_and_shapes(equal, x=large) == NOT_LOOKED_UP


def test_length_of_a_shape() -> None:
    fits, longer = "a" * 480, "a" * 481
    assert keys_and_shapes(f"async.data.{fits} == 1") == (1, [A.replace('"a"', f'"{fits}"')])
    assert keys_and_shapes(f"async.data.{longer} == 1") == NOT_LOOKED_UP
    assert keys_and_shapes(f"async.data.b == 1 && async.data.{longer} == 1") == (1, [B])


def test_combinations_of_an_arriving_event() -> None:
    program = expressions.compile("event.data.x in async.data.a", kind="wait")
    plan = expressions.plan(program, event={"data": {"x": 5}}, event_name="a/b")

    for size, count in ((1_000, 1_000), (1_001, 1)):
        arriving = {"data": {"a": list(range(size))}}
        keys = expressions.keys_of(arriving, event_name="a/b", shapes=plan.shapes).keys
        assert len(keys) == count + 1  # and the one of waits that are always tried
        assert keys & set(plan.keys)


@pytest.mark.parametrize(
    ("small", "large", "kind", "problem"),
    [
        (nested(64), nested(65), "limit", "a value is too large or nests too deeply for a key."),
        (
            [1] * 99_999,
            [1] * 100_000,
            "limit",
            "a value is too large or nests too deeply for a key.",
        ),
        (2**1_100 - 1, 2**1_100, "eval", "a number is too large for a key."),
        (1.5, float("inf"), "eval", "a number is not finite."),
        (1.5, float("nan"), "eval", "a number is not finite."),
    ],
    ids=["depth", "parts", "number", "infinity", "nan"],
)
def test_values_of_a_bucket(small: object, large: object, kind: str, problem: str) -> None:
    program = expressions.compile("event.data.x", kind="key")

    assert expressions.bucket_key(program, {"data": {"x": small}})
    with pytest.raises(expressions.ExpressionError) as caught:
        expressions.bucket_key(program, {"data": {"x": large}})
    assert caught.value.kind == kind
    assert str(caught.value) == f'Expression "event.data.x": {problem}'


def test_digits_of_a_number_in_text() -> None:
    longest = 2**3_322 - 1
    assert value_of("event.data.x + 'a'", x=longest) == f"{longest}a"
    with pytest.raises(expressions.ExpressionError, match="a number is too large"):
        value_of("event.data.x + 'a'", x=longest + 1)
