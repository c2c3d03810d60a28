"""What is counted for which process and part, and divided by what. Sides are stood in for."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, cast

import pytest

from benchmarks import machine, rows, sampling
from benchmarks.profile import SHAPES, Profile
from benchmarks.stacks import Stack


def _below(*places: str) -> FrameType:
    """Return a stack of functions in these files, the outermost first."""
    found: list[FrameType] = []
    inner: Callable[[], Any] = lambda: found.append(sys._getframe(1))  # noqa: E731
    for place in reversed(places):
        file, _, name = place.rpartition(":")
        scope: dict[str, Any] = {"inner": inner}
        exec(compile(f"def {name}():\n    return inner()", f"/site/{file}", "exec"), scope)
        inner = scope[name]
    inner()
    return found[0]


_POOL = "billiard/pool.py:workloop"


@pytest.mark.parametrize(
    ("places", "part"),
    [
        (["celery/app/trace.py:trace_task"], "Celery"),
        (["inngest_django/engine/executor.py:execute"], "the engine's rest"),
        (
            [
                "inngest_django/engine/executor.py:execute",
                "inngest_django/engine/hot_path/leasing.py:lease",
                "inngest_django/engine/hot_path/wire.py:exchange",
            ],
            "lease and load",
        ),
        (
            [
                "inngest_django/drivers/in_process.py:call",
                "inngest_django/engine/checkpoints.py:commit",
            ],
            "record the outcome",
        ),
        (
            [
                "inngest_django/engine/outcomes.py:apply",
                "inngest_django/dispatch/publisher.py:execute",
                "kombu/messaging.py:publish",
            ],
            "publish",
        ),
        (["celery/app/task.py:request", "celery/backends/base.py:store"], "store the result"),
        (["celery/app/task.py:apply_async"], "publish"),
    ],
)
def test_sample_counts_for_the_part_that_worked(places: list[str], part: str) -> None:
    below_the_pool = ["celery/app/task.py:apply_async", _POOL] if part == "Celery" else [_POOL]

    assert sampling.part_of(_below(*below_the_pool, *places)) == part


class _Process:
    pid = 1

    def __init__(self, name: str, times: list[dict[int, float]]) -> None:
        self.name = name
        self._times = times

    def processor_times(self) -> dict[int, float]:
        return self._times.pop(0)


class _Side:
    name = rows.DURABLE

    def __init__(self, samples: Path) -> None:
        self.samples = samples
        self.asked: list[tuple[str, dict[str, Any]]] = []
        # Before, after the load, and at rest; child 3 began meanwhile.
        self.processes = [
            _Process("ours worker", [{1: 1.0, 2: 5.0}, {1: 1.1, 2: 5.2}, {1: 1.2, 2: 5.3, 3: 0.1}]),
            _Process("ours client", [{4: 0.0}, {4: 0.1}, {4: 9.0}]),
        ]

    def sessions(self) -> list[int]:
        return []

    def measure(self, name: str, **sizes: Any) -> dict[str, float]:
        self.asked.append((name, sizes))
        counted = {"publish": 30, "Celery": 10}
        (self.samples / "2.json").write_text(json.dumps(counted))
        return {}


def test_costs_are_divided_by_steps_and_go_on_until_the_side_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "broker_time", lambda _: 0.0)
    side = _Side(tmp_path)
    options = argparse.Namespace(pairs=1, scale=0.1, work=["W2"])
    profile = Profile("redis", "redis://", [cast(Stack, side)], options)
    shape = next(shape for shape in SHAPES if shape.work == "W2" and shape.function == "sequence")

    profile._one(shape, cast(Stack, side))

    assert side.asked == [("load", {"function": "sequence", "runs": 10, "steps": 10}), ("rest", {})]
    costs = {what: column[0] for (_, _, what), column in profile.values.items()}
    # A hundred steps: a second is 10 ms for each of them.
    assert costs["children"] == pytest.approx(4.0)
    assert costs["main process"] == pytest.approx(2.0)
    assert costs["client"] == pytest.approx(1.0)
    assert costs["together"] == pytest.approx(7.0)
    assert costs["child: publish"] == pytest.approx(3.0)
    assert "| children | 4.00 / 0 |" in profile.text()


def test_a_process_that_ends_while_it_is_looked_at_is_left_out(tmp_path: Path) -> None:
    for pid, name in ((11, "beam.smp"), (12, "sh")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "comm").write_text(f"{name}\n")
    # Found, but not readable, as one that has ended since.
    (tmp_path / "13" / "comm").mkdir(parents=True)

    assert machine.processes_named("beam.smp", proc=tmp_path) == [11]
