"""SIGKILL at every named point of the engine, while a mixed load runs."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import inngest_django
from inngest_django.engine import crash_points
from tests.faults import arena as arenas
from tests.faults import injection
from tests.faults.arena import Arena
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules
from tests.processes import ProcessStack


@pytest.fixture(scope="module")
def shared_arena(stack: ProcessStack) -> Iterator[Arena]:
    """As that of conftest.py, with a worker that acts at armed points."""
    with arenas.running(stack, points=True) as opened:
        yield opened


def test_every_named_point_is_in_the_code_and_the_other_way_round() -> None:
    package = Path(inngest_django.__file__).parent
    in_code = [
        name
        for path in package.rglob("*.py")
        for name in re.findall(r'crash_points\.reach\("([^"]+)"\)', path.read_text())
    ]

    assert sorted(set(in_code)) == sorted(crash_points.NAMES)


@pytest.mark.faults
def test_the_load_without_faults_ends_as_it_should(arena: Arena) -> None:
    report = arena.drive(sets=2)

    print(f"clean load: {report}")
    assert report.extra_calls == 0
    assert report.restarts == 0


@pytest.mark.faults
@pytest.mark.matrix(1, "worker killed at each named point")
@pytest.mark.parametrize("point", crash_points.NAMES)
def test_a_worker_killed_at_a_point_changes_no_result(arena: Arena, point: str) -> None:
    injection.arm(arena.folder, point)

    report = arena.drive()

    print(f"killed at {point}: {report}")
    assert report.hits == (point,), "nobody reached it"


@pytest.mark.faults
@pytest.mark.slow  # two minutes together
@pytest.mark.parametrize("passed", [2, 7])
@pytest.mark.parametrize("point", crash_points.NAMES)
def test_a_worker_killed_at_a_point_later_changes_no_result(
    arena: Arena, point: str, passed: int
) -> None:
    """Another kind of outcome, timer or batch stands there than the first time."""
    injection.arm(arena.folder, point, after=passed)

    report = arena.drive(sets=2)

    print(f"killed at {point} after {passed}: {report}")
    # A tick or a batch may not come so often in one load.
    assert report.hits == (point,) or passed > 2 or point.startswith(("tick.", "route.", "stamp."))


@pytest.mark.faults
@pytest.mark.slow  # half a minute for each seed
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_workers_killed_again_and_again_change_no_result(arena: Arena, seed: int) -> None:
    chosen = random.Random(seed)
    kills = 0

    def break_something() -> None:
        # Armed anew once the last one struck, so that each kill meets the recovery of another.
        nonlocal kills
        if kills < 30 and not list(arena.folder.glob("armed.*")):
            kills += 1
            injection.arm(arena.folder, chosen.choice(crash_points.NAMES))

    report = arena.drive(sets=6, timeout=200, meanwhile=break_something)

    print(f"seed {seed}: {kills} kills, {report}")
    assert kills - 1 <= len(report.hits) >= 10
