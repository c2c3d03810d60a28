"""The index never misses: random conditions, events on both sides.

If an expression is true for a pair of events, then the wait's keys and the arriving
event's keys have one in common. Deliberate bugs show that the test can fail.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from inngest_django import expressions
from inngest_django.expressions import alternatives, encoding, programs

VALUES: list[Any] = [
    None, True, False, 0, 1, 1.0, -0.0, 2, 2.5, 2**53, float(2**53), "", "a", "1", "é",
    "e\u0301", [], [1], [1.0, "a"], ["a", None], {"k": 1}, {"k": 1.0}, {"a": "a"},
]  # fmt: skip
FIELDS = ("a", "b", "c-d")
LITERALS = (
    "null",
    "true",
    "false",
    "1",
    "1.0",
    "2",
    "0",
    '""',
    '"a"',
    '"1"',
    '"é"',
    "[1]",
    '{"k": 1}',
)
PATHS = (
    "data.a",
    "data.b",
    'data["c-d"]',
    "data.n.a",
    "data.l[0]",
    'data["n"]["b"]',
    "data.l",
    "data",
)


def random_event(rng: random.Random) -> dict[str, Any]:
    data = {name: rng.choice(VALUES) for name in FIELDS if rng.random() < 0.8}
    if rng.random() < 0.7:
        data["n"] = {name: rng.choice(VALUES) for name in FIELDS if rng.random() < 0.7}
    if rng.random() < 0.7:
        data["l"] = [rng.choice(VALUES) for _ in range(rng.randrange(4))]
    return {"name": "x", "data": data}


RANDOM = random.Random(20_260_131)
ARRIVING = [random_event(RANDOM) for _ in range(40)]
MINE = [random_event(RANDOM) for _ in range(25)]

theirs = st.sampled_from([f"async.{path}" for path in PATHS])
ours = st.sampled_from([f"event.{path}" for path in PATHS])
literals = st.sampled_from(LITERALS)
known = st.one_of(
    ours,
    literals,
    st.builds("{} + {}".format, ours, literals),
    st.builds(
        "({} ? {} : {})".format, st.builds("{} == {}".format, ours, literals), ours, literals
    ),
)
lists = st.one_of(st.lists(known, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"), ours)
atoms = st.one_of(
    st.builds("{} == {}".format, theirs, known),
    st.builds("{} == {}".format, known, theirs),
    st.builds("{} != {}".format, theirs, known),
    st.builds("{} in {}".format, theirs, lists),
    st.builds("{} in {}".format, known, theirs),
    st.builds("{} {} {}".format, theirs, st.sampled_from(("<", ">=")), known),
    st.builds("{} == {}".format, known, known),
    st.builds("{} == {}".format, theirs, theirs),
    st.builds("size({}) == 1".format, theirs),
    st.builds("has(async.data.{})".format, st.sampled_from("ab")),
    st.builds("{}.exists(i, i == {})".format, theirs, known),
    st.builds("event.data.l.exists(i, i == {})".format, known),
    theirs,
    ours,
)
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("({} && {} && {})".format, inner, inner, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
    ),
    max_leaves=6,
)
cases = st.tuples(conditions, st.sampled_from(MINE))


def pairs(source: str, event: dict[str, Any]) -> Iterator[tuple[bool, bool, dict[str, Any]]]:
    """Yield for each arriving event whether the condition is true and whether found."""
    program = expressions.compile(source, kind="wait")
    plan = expressions.plan(program, event=event, event_name="a/b")
    stored = set(plan.keys)
    assert plan.never is not bool(stored)
    for arriving in ARRIVING:
        keys = expressions.keys_of(arriving, event_name="a/b", shapes=plan.shapes).keys
        yield program.matches(event=event, arriving=arriving), bool(keys & stored), arriving


def misses(case: tuple[str, dict[str, Any]]) -> bool:
    return any(is_true and not is_found for is_true, is_found, _ in pairs(*case))


def test_index_never_misses_and_constants_are_enough() -> None:
    counts = {"pairs": 0, "true": 0, "found": 0}

    @hypothesis.settings(max_examples=700, deadline=None, derandomize=True, database=None)
    @hypothesis.given(cases)
    def check(case: tuple[str, dict[str, Any]]) -> None:
        source, event = case
        program = expressions.compile(source, kind="wait")
        constants = json.loads(json.dumps(program.constants(event)))
        for is_true, is_found, arriving in pairs(source, event):
            assert is_found or not is_true, (source, event, arriving)
            assert program.matches(event=constants, arriving=arriving) is is_true
            counts["pairs"] += 1
            counts["true"] += is_true
            counts["found"] += is_found

    check()

    # The test is worth its name only if many are true and many are not even looked at.
    assert counts["pairs"] >= 20_000
    assert counts["true"] > 2_000
    assert counts["found"] < counts["pairs"] * 0.7


def number_by_type(value: float) -> bytes:
    return b"d" + repr(value).encode() if isinstance(value, float) else b"i%d" % value


def missing_is_not_null(value: object) -> bytes:
    return b"N" + repr(id(object())).encode()


def no_de_morgan(build: Callable[..., Any]) -> Callable[..., Any]:
    def wrong(self: Any, node: Any, wanted: bool) -> Any:
        if type(node).__name__ == "Logic" and not wanted and not self.is_known(node):
            parts = [self.build(operand, wanted) for operand in node.operands]
            joined = alternatives._all_of if node.operator == "&&" else alternatives._any_of
            return joined(parts)
        return build(self, node, wanted)

    return wrong


def negation_forgotten(build: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, node, wanted: build(self, node, True)


@pytest.mark.parametrize(
    ("group", "bug"),
    [
        ("number", number_by_type),
        ("null", missing_is_not_null),
        (None, no_de_morgan),
        (None, negation_forgotten),
    ],
)
def test_deliberate_bug_is_caught(
    group: str | None, bug: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_programs", type(programs._programs)())
    if group is None:
        build = alternatives._Builder.build
        monkeypatch.setattr(alternatives._Builder, "build", bug(build))
    else:
        monkeypatch.setitem(encoding._SCALARS, group, bug)

    settings = hypothesis.settings(
        max_examples=2_000, deadline=None, derandomize=True, database=None,
        phases=[hypothesis.Phase.generate],
    )  # fmt: skip
    found = hypothesis.find(cases, misses, settings=settings)

    assert misses(found)
