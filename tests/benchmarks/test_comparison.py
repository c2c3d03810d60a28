"""Who is measured when, and in which pair a figure counts. Sides are stood in for."""

from __future__ import annotations

import argparse
import itertools
import math
from typing import Any, cast

from benchmarks import rows
from benchmarks.comparison import Comparison, in_turn
from benchmarks.report import Report
from benchmarks.stacks import Stack


class _Side:
    """Measures what it is told to, and notes what it was asked."""

    def __init__(self, name: str, answers: list[float | None], asked: list[str]) -> None:
        self.name = name
        self._answers = answers
        self._asked = asked

    def measure(self, name: str, **_: Any) -> dict[str, float]:
        self._asked.append(f"{self.name} {name}")
        if name == "rest":
            return {}
        answer = self._answers.pop(0)
        if answer is None:
            raise RuntimeError(f"{self.name}: broke")
        return {"seconds": answer}

    def processor_time(self) -> float:
        return 0.0


def _compare(
    pairs: int, **answers: list[float | None]
) -> tuple[Comparison, Report, list[str], list[Stack]]:
    asked: list[str] = []
    sides = [cast(Stack, _Side(name, of, asked)) for name, of in answers.items()]
    report = Report(
        command="c", date="d", commit="x", machine="m", packages="p", database={}, load_before="0"
    )
    options = argparse.Namespace(pairs=pairs, scale=1.0, big=0)
    return Comparison("redis", sides, report, options), report, asked, sides


def test_pair_that_failed_first_leaves_the_later_ones_in_their_pairs() -> None:
    comparison, report, _, _ = _compare(3, plain=[1.0, 2.0, 4.0], ours=[None, 20.0, 40.0])

    comparison.pairs("W4", "w4")

    column = report.values["redis"]["ours", "W4", "seconds"]
    assert math.isnan(column[0])
    assert column[1:] == [20.0, 40.0]
    plain = report.values["redis"]["plain", "W4", "seconds"]
    assert rows.ratios(column, plain) == [10.0, 10.0]
    assert report.faults == ["Redis, W4, ours: broke"]


def test_pair_that_failed_later_holds_its_place() -> None:
    comparison, report, _, _ = _compare(3, plain=[1.0, 2.0, 4.0], ours=[10.0, None, 40.0])

    comparison.pairs("W4", "w4")

    column = report.values["redis"]["ours", "W4", "seconds"]
    assert [column[0], column[2]] == [10.0, 40.0]
    assert math.isnan(column[1])


def test_sides_rest_before_the_next_one_is_measured() -> None:
    comparison, _, asked, _ = _compare(2, plain=[1.0, 1.0], ours=[None, 1.0])

    comparison.pairs("W4", "w4")

    measured, rested = asked[::2], asked[1::2]
    assert len(asked) == 8
    assert all(name.endswith(" w4") for name in measured)
    assert rested == [name.replace(" w4", " rest") for name in measured]


def test_every_side_is_measured_in_every_pair_of_the_long_sequence() -> None:
    comparison, report, _, sides = _compare(
        2, **{rows.PLAIN: [9.0, 8.0], rows.DURABLE: [1.0, 2.0, 3.0, 4.0], rows.FAST: [5.0, 6.0]}
    )

    comparison.w4()

    columns = report.values["redis"]
    assert [columns[side.name, "W4", "seconds"] for side in sides] == [
        [9.0, 8.0], [1.0, 2.0], [5.0, 6.0]
    ]  # fmt: skip


def test_orders_favour_no_side() -> None:
    sides = ("plain", "ours", "fast")

    orders = [tuple(in_turn(sides, pair)) for pair in range(6)]

    assert sorted(orders) == sorted(itertools.permutations(sides))
    assert {order[0] for order in orders[:5:2]} == set(sides)
    assert [tuple(in_turn(sides[:2], pair)) for pair in range(4)] == [
        ("plain", "ours"), ("ours", "plain"), ("ours", "plain"), ("plain", "ours")
    ]  # fmt: skip
