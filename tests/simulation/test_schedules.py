"""Random schedules of the engine: none may break a promise."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.db import transaction

from inngest_django.engine import crash_points, transactions
from inngest_django.states import RUN_TRANSITIONS, STEP_TRANSITIONS
from tests.simulation import kinds, mistakes, runs, seeds
from tests.simulation.audit import WAIT_TRANSITIONS
from tests.simulation.ground import Ground
from tests.simulation.schedule import Verdict
from tests.simulation.shapes import Edge, first_of_each, shapes
from tests.simulation.stage import Stage
from tests.simulation.workers import Died

pytestmark = pytest.mark.sqlite

SCHEDULES = 2000
FIRST_SEED = 1
COMPACT_SEED = 269
# Schedules that come to what the compact one does not.
SEEDS_OF_OTHER_STATEMENTS = (774, 1042, 1195, 1196, 1960)

# What the programs of the simulation have no way to do.
NOT_PLAYED = {
    ("run", "queued", "failed"),
    ("run", "queued", "skipped"),
    # Ids that go away from the code.
    ("step", "cancelled", "planned"),
    ("step", "cancelled", "waiting"),
    ("step", "cancelled", "completed"),
    ("step", "cancelled", "failed"),
    # A step whose workers die until it is given up, before its body.
    ("step", "planned", "failed"),
    # A step's job moves it through "running" first.
    ("step", "planned", "completed"),
}


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What many schedules met, in as many processes as there are processors."""
    path = tmp_path_factory.mktemp("simulation") / "report.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.simulation"),
            *("--schedules", str(SCHEDULES), "--seed", str(FIRST_SEED), "--keep-going"),
            *("--jobs", str(max(2, min(8, os.cpu_count() or 2))), "--report", str(path)),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
    )
    assert path.exists(), done.stderr[-4000:]
    found: dict[str, Any] = json.loads(path.read_text())
    rate = found["schedules"] / found["seconds"]
    print(f"{found['schedules']} schedules, {rate:.1f}/s, {found['counts']}")
    found["output"], found["summary"] = done.stdout, done.stderr
    return found


@pytest.mark.timeout(900)
def test_no_schedule_breaks_a_promise(met: dict[str, Any]) -> None:
    assert met["failed"] == [], met["output"][-12_000:]
    assert met["schedules"] == SCHEDULES


@pytest.mark.timeout(900)
def test_faults_were_injected(met: dict[str, Any]) -> None:
    assert met["counts"]["deaths"] > SCHEDULES / 4
    assert met["counts"]["the database fails"] > SCHEDULES / 10


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", kinds.ALL)
def test_kind_of_step_or_fault_happened(met: dict[str, Any], kind: str) -> None:
    assert met["counts"].get(kind, 0) > 0


@pytest.mark.timeout(900)
def test_summary_says_how_often_each_kind_happened(met: dict[str, Any]) -> None:
    assert kinds.table(met["counts"]) in met["summary"]
    assert "No promise was broken." in met["summary"]


@pytest.mark.parametrize("point", crash_points.NAMES)
def test_worker_dies_at_a_named_point(stage: Stage, point: str) -> None:
    hits = 0
    for seed in range(1, 200):
        verdict = runs.one(stage, seed, aim=point)
        assert not verdict.problems, runs.report(verdict)
        hits += point in verdict.points
        if hits == 3:
            return
    raise AssertionError(f"only {hits} workers died at {point}")


@pytest.mark.timeout(900)
def test_every_transition_was_taken_and_no_other(met: dict[str, Any]) -> None:
    table = {
        *(("run", str(old), str(new)) for old, to in RUN_TRANSITIONS.items() for new in to),
        *(("step", str(old), str(new)) for old, to in STEP_TRANSITIONS.items() for new in to),
        *(("wait", str(old), str(new)) for old, to in WAIT_TRANSITIONS.items() for new in to),
    }
    taken = {(kind, old, new) for kind, old, new in met["transitions"] if old and old != new}

    assert taken <= table
    assert table - taken <= NOT_PLAYED


@pytest.fixture(scope="module")
def strikes(stage: Stage) -> list[Verdict]:
    """A worker dies at each edge of one schedule, and in others at those of new shapes."""
    found: list[Verdict] = []
    struck: set[Edge] = set()
    for seed in (COMPACT_SEED, *SEEDS_OF_OTHER_STATEMENTS):
        edges = runs.one(stage, seed).edges
        numbers = range(1, len(edges) + 1)
        for number in numbers if seed == COMPACT_SEED else first_of_each(edges, struck):
            verdict = runs.one(stage, seed, strike=number)
            # A session does not keep all statements of hundreds of schedules.
            found.append(dataclasses.replace(verdict, edges=[], seen=set()))
            struck |= shapes([verdict.struck] if verdict.struck else [])
    return found


@pytest.mark.timeout(1800)
def test_worker_dies_at_any_statement(strikes: list[Verdict]) -> None:
    for verdict in strikes:
        assert not verdict.problems, runs.report(verdict)
        assert verdict.struck
        assert verdict.counts["deaths"]


@pytest.mark.timeout(1800)
def test_worker_dies_before_and_after_every_statement(
    met: dict[str, Any], strikes: list[Verdict]
) -> None:
    """Of all that the many schedules came to, commits and named points included.

    When this fails, add the seed of a schedule that comes to what is missing before its calm.
    """
    struck = shapes(verdict.struck for verdict in strikes if verdict.struck)
    missing = {(side, at) for side, at in met["shapes"]} - struck

    assert not missing, "\n".join(f"{side}: {at}" for side, at in sorted(missing))


@pytest.mark.parametrize("known", seeds.KNOWN, ids=lambda one: f"{one.seed}-{one.mistake}")
def test_known_seed_shows_its_mistake(stage: Stage, known: seeds.Known) -> None:
    """Clean as the engine is, and a promise breaks with the mistake made."""
    verdict = runs.one(stage, known.seed)
    with mistakes.made(mistakes.named(known.mistake), stage):
        broken = runs.one(stage, known.seed)

    assert not verdict.problems, runs.report(verdict)
    assert broken.problems, f"seed {known.seed} does not show the mistake: find another one"


def test_without_faults_the_programs_come_to_the_same_ends(stage: Stage) -> None:
    for seed in range(1, 41):
        verdict = runs.one(stage, seed, has_faults=False)

        assert not verdict.problems, runs.report(verdict)


def test_seed_replays_exactly(stage: Stage) -> None:
    """In another process too, whose hashes have another order."""
    seed = 11
    first, second = runs.one(stage, seed), runs.one(stage, seed)
    done = subprocess.run(
        [*(sys.executable, "-m", "tests.simulation"), *("--schedules", "1", "--trace"),
         *("--seed", str(seed))],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONHASHSEED": "7"},
    )  # fmt: skip

    assert first.trace == second.trace
    assert f"schedule of seed {seed} ({first.digest}):" in done.stdout


def test_who_dies_before_a_commit_leaves_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = mock.create_autospec(Ground, instance=True)
    listener.statement.side_effect = lambda execute, *args: execute(*args)
    listener.before_commit.side_effect = Died
    stage.database.clear()
    monkeypatch.setattr(stage.database, "listener", listener)

    with pytest.raises(Died), transaction.atomic():
        transactions.connection().cursor().execute("UPDATE inngest_counter SET last_seq = 7")

    assert stage.database.rows("SELECT last_seq FROM inngest_counter") == [(0,)]
    listener.rolled_back.assert_called_once_with()
