"""The dialect, row by row: what an expression gives for an event."""

from __future__ import annotations

import pytest

from inngest_django import expressions

ERROR = object()

EVENT = {
    "name": "shop/order",
    "data": {
        "id": 150,
        "amount": 100.5,
        "text": "abc",
        "number_text": "150",
        "yes": True,
        "no": False,
        "nothing": None,
        "zero": 0,
        "empty": "",
        "items": [{"sku": "s1", "n": 1}, {"sku": "s2", "n": 2}],
        "tags": ["a", "b", 1],
        "map": {"k": "v", "user-id": 7},
        "big": 2**70,
        "key": "k",
        "one": 1.0,
    },
}


def evaluate(source: str, **data: object) -> object:
    program = expressions.compile(source, kind="filter")
    try:
        return program.evaluate(event={**EVENT, "data": {**EVENT["data"], **data}})
    except expressions.ExpressionError as error:
        return ERROR if error.kind == "eval" else error


def check(source: str, expected: object) -> None:
    value = evaluate(source)

    assert (type(value), value) == (type(expected), expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        # A missing field is null.
        ("event.data.gone == null", True),
        ("event.data.gone != null", False),
        ('event.data.gone == "x"', False),
        ('event.data.gone != "x"', True),
        ("event.data.gone == event.data.lost", True),
        ("event.data.gone == event.data.nothing", True),
        ("event.data.gone.deep.deeper", None),
        ("event.data.text.field", None),
        ("event.data.id.field == null", True),
        # Null counts as the zero of the other side.
        ("event.data.gone < 1", True),
        ("event.data.gone <= 0", True),
        ("event.data.gone > 1", False),
        ("event.data.gone >= 0", True),
        ("event.data.gone > -1", True),
        ("1 < event.data.gone", False),
        ("1 > event.data.gone", True),
        ("1 >= event.data.gone", True),
        ("0 <= event.data.gone", True),
        ('event.data.gone < "a"', True),
        ('event.data.gone >= ""', True),
        ('"a" > event.data.gone', True),
        ("event.data.nothing > 1", False),
        ("null < null", False),
        ("null <= null", True),
        ("event.data.gone < true", ERROR),
        ("event.data.gone < [1]", ERROR),
    ],
)
def test_missing_field_is_null(source: str, expected: object) -> None:
    check(source, expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("event.data.id == 150.0", True),
        ("event.data.id > 100.5", True),
        ("100.5 < event.data.id", True),
        ("event.data.one == 1", True),
        ("1 == 1.0", True),
        ("1.0 in [1, 2]", True),
        ("[1] == [1.0]", True),
        ('{"a": 1} == {"a": 1.0}', True),
        ('{"a": null} == {}', False),
        ("event.data.id == event.data.number_text", False),
        ("event.data.id != event.data.number_text", True),
        ("event.data.big > 100", True),
        ("event.data.big == 1180591620717411303424.0", True),
        ("9007199254740993 == 9007199254740992.0", False),
        ('"a" < 1', ERROR),
        ("1 > true", ERROR),
        ("[1] < [2]", ERROR),
        ('"a" < "b"', True),
        ('"Z" < "a"', True),
        ("false < true", True),
        ("true == 1", False),
        ("event.data.yes == 1", False),
        ("1 == event.data.yes", False),
        ("[true] == [1]", False),
        ("null == 1", False),
        ("null == false", False),
        ("'é' == '\u0065\u0301'", False),
        ("[1, [2, 3]] == [1.0, [2, 3.0]]", True),
        ("[1, 2] == [1]", False),
    ],
)
def test_comparison(source: str, expected: object) -> None:
    check(source, expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"id-" + 5', "id-5"),
        ('5 + "-id"', "5-id"),
        ('"id-" + 5.0', "id-5"),
        ('"id-" + 2.5', "id-2.5"),
        ('"id-" + event.data.big', "id-1180591620717411303424"),
        ('"a" + event.data.gone', "a"),
        ('event.data.gone + "a"', "a"),
        ("event.data.gone + 5", 5),
        ("event.data.gone + event.data.lost", None),
        ('"a" + true', ERROR),
        ('"a" + "b" + "c"', "abc"),
        ("[1] + [2]", [1, 2]),
        ("[1] + 2", ERROR),
        ("1 + 2", 3),
        ("1 + 2.5", 3.5),
        ("2 * 1.5", 3.0),
        ("7 - 10", -3),
        ("7 -10", -3),
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("10 - 3 - 2", 5),
        ("5 / 2", 2),
        ("-5 / 2", -2),
        ("5 / 2.0", 2.5),
        ("-5 % 3", -2),
        ("5 % -3", 2),
        ("5.0 % 3", 2),
        ("5.5 % 3", ERROR),
        ("1 / 0", ERROR),
        ("1.0 / 0.0", ERROR),
        ("1 % 0", ERROR),
        ('"%999999999d" % 1', ERROR),
        ("-event.data.id", -150),
        ("- 5", -5),
        ("--5", 5),
        ("-event.data.text", ERROR),
        ("-event.data.gone", ERROR),
        ("event.data.gone - 1", ERROR),
        ("9223372036854775807 + 1", ERROR),
        ("-9223372036854775808", -(2**63)),
        ("event.data.big + 1", ERROR),
        ("1e308 * 10.0", ERROR),
        ("0x1F", 31),
        ("1e3", 1000.0),
        (".5", 0.5),
    ],
)
def test_arithmetic(source: str, expected: object) -> None:
    check(source, expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("true && true", True),
        ("true && false", False),
        ("false || true", True),
        ("false || false", False),
        ("!true", False),
        ("!!true", True),
        ("event.data.text && true", ERROR),
        ("event.data.text || false", ERROR),
        ("true && event.data.id", ERROR),
        ("event.data.gone && true", ERROR),
        ("!event.data.gone", ERROR),
        ("!event.data.zero", ERROR),
        # One side decides, whatever is wrong with the other.
        ("event.data.text || true", True),
        ("true || event.data.text", True),
        ("event.data.text && false", False),
        ("false && 1 / 0 == 1", False),
        ("1 / 0 == 1 && false", False),
        ("1 / 0 == 1 || true", True),
        ("1 / 0 == 1 || false", ERROR),
        ("event.data.yes ? 1 : 2", 1),
        ("event.data.no ? 1 : 2", 2),
        ("event.data.gone ? 1 : 2", 2),
        ("event.data.text ? 1 : 2", ERROR),
        ("true ? 1 : 1 / 0", 1),
        ("false ? 1 : true ? 2 : 3", 2),
    ],
)
def test_logic_is_strict_about_booleans(source: str, expected: object) -> None:
    check(source, expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('event.data["id"]', 150),
        ('event["data"]["map"]["user-id"]', 7),
        ("event.data.items[1].sku", "s2"),
        ("event.data.items[1.0].sku", "s2"),
        ("event.data.items[-1]", None),
        ("event.data.items[9]", None),
        ('event.data.items["x"]', None),
        ("event.data.items[true]", None),
        ("event.data.map[0]", None),
        ("event.data.map[event.data.key]", "v"),
        ("event.data.map[event.data.gone]", None),
        ("event.data.tags[event.data.one]", "b"),
        ("event.data.text[0]", ERROR),
        ('"abc"[0]', ERROR),
        ("event.data.id[0]", None),
        ("[1, 2, 3][1]", 2),
        ('{"a": {"b": 1}}.a.b', 1),
        ('{"a": 1, "a": 2}', ERROR),
        ('{"a": event.data.id, "b": 1}', {"a": 150, "b": 1}),
        ("[event.data.id, 1]", [150, 1]),
        ("type(1) == type(2) && type(1) != type(1.0)", True),
        ("type(1) < type(2)", ERROR),
        ("{event.data.id: 1}", ERROR),
        ("{event.data.key: 1}", {"k": 1}),
        ("event.data.map.k == event['data'].map['k']", True),
        ('"a" in event.data.tags', True),
        ("1.0 in event.data.tags", True),
        ("true in event.data.tags", False),
        ("null in event.data.tags", False),
        ("null in [null]", True),
        ('"k" in event.data.map', True),
        ("1 in event.data.map", False),
        ('"k" in event.data.gone', False),
        ('"h" in "hello"', ERROR),
        ("1 in []", False),
        ("has(event.data.id)", True),
        ("has(event.data.nothing)", True),
        ("has(event.data.gone)", False),
        ("has(event.data.gone.deep)", False),
        ("has(event.data.tags.a)", False),
        ("has(event.data.text.a)", False),
        ('has(event.data.map["user-id"])', True),
        ("has({'a': 1}.a)", True),
        ("has(event.data.items[0].sku)", True),
        ("has(event.data.text[0].sku)", False),
    ],
)
def test_fields_and_elements(source: str, expected: object) -> None:
    check(source, expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('event.data.items.exists(i, i.sku == "s2")', True),
        ('event.data.items.exists(i, i.sku == "s9")', False),
        ("event.data.items.all(i, i.n > 0)", True),
        ("event.data.items.all(i, i.n > 1)", False),
        ("event.data.items.exists_one(i, i.n == 1)", True),
        ("event.data.items.exists_one(i, i.n > 0)", False),
        ("event.data.items.map(i, i.n)", [1, 2]),
        ("event.data.items.filter(i, i.n > 1)", [{"sku": "s2", "n": 2}]),
        ("event.data.items.filter(i, i.n > 1).map(j, j.sku)", ["s2"]),
        ("event.data.items.exists(i, has(i.sku))", True),
        ('event.data.map.exists(k, k == "k")', True),
        ("[].all(i, false)", True),
        # One element decides, whatever is wrong with the others.
        ('["a", 1].exists(i, i > 0)', True),
        ('["a", 0].exists(i, i > 0)', ERROR),
        ('["a", 0].all(i, i > 0)', False),
        ('["a", 1].exists_one(i, i > 0)', ERROR),
        ('["a", 1].filter(i, i > 0)', ERROR),
        ("[1].exists(i, i)", ERROR),
        ("event.data.gone.exists(i, true)", False),
        ("event.data.gone.all(i, true)", False),
        ("event.data.gone.exists_one(i, true)", False),
        ("event.data.gone.filter(i, true)", []),
        ("event.data.gone.map(i, i)", []),
        ("event.data.text.exists(i, true)", ERROR),
        ("event.data.id.map(i, i)", ERROR),
    ],
)
def test_macros(source: str, expected: object) -> None:
    check(source, expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (r'"a\"b\\c\n\t"', 'a"b\\c\n\t'),
        (r"'it\'s'", "it's"),
        (r'"\x41\u00e9\U0001F600\101"', "Aé😀A"),
        (r'r"\d+"', r"\d+"),
        ('"""a "quoted" b"""', 'a "quoted" b'),
        ("'''a\nb'''", "a\nb"),
        ("'''a\r\nb'''", "a\nb"),
        ('""', ""),
        ('"// no comment"', "// no comment"),
        ("1 // a comment", 1),
    ],
)
def test_literals(source: str, expected: object) -> None:
    check(source, expected)


def test_keys_and_filters_see_the_same_value_for_one_and_one_point_zero() -> None:
    assert evaluate("event.data.x == 1", x=1.0) is True
    assert evaluate('"k" + event.data.x', x=1.0) == evaluate('"k" + event.data.x', x=1)
