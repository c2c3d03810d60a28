"""Running schedules and saying what came of them."""

from __future__ import annotations

import dataclasses
from typing import Any

from tests.simulation import mistakes
from tests.simulation.mistakes import Mistake
from tests.simulation.schedule import Schedule, Verdict
from tests.simulation.script import theme_of
from tests.simulation.stage import Stage


def one(stage: Stage, seed: int, **options: Any) -> Verdict:
    """Run the schedule of a seed; the options are those of ``Schedule``."""
    return Schedule(stage, seed, **options).run()


@dataclasses.dataclass(frozen=True)
class Catch:
    """How a mistake was found."""

    seed: int
    schedules: int
    problem: str


def hunt(stage: Stage, mistake: Mistake) -> Catch | None:
    """Look for a mistake, for as many schedules of its theme as it may take."""
    count, seed = 0, mistake.first_seed - 1
    with mistakes.made(mistake, stage):
        while count < mistake.within:
            seed += 1
            if mistake.theme and theme_of(seed) != mistake.theme:
                continue
            count += 1
            verdict = one(stage, seed)
            if verdict.problems:
                return Catch(seed, count, verdict.problems[0])
    return None


def report(verdict: Verdict) -> str:
    """Return the schedule and what is wrong with it, in words."""
    return "\n".join(
        [
            f"schedule of seed {verdict.seed} ({verdict.digest}):",
            *verdict.trace,
            *[f"PROBLEM: {problem}" for problem in verdict.problems],
            f"again: python -m tests.simulation --schedules 1 --seed {verdict.seed}",
        ]
    )
