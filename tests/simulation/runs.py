"""Running schedules and saying what came of them."""

from __future__ import annotations

from tests.simulation.schedule import Schedule, Verdict
from tests.simulation.stage import Stage


def one(stage: Stage, seed: int, *, has_faults: bool = True) -> Verdict:
    """Run the schedule of a seed."""
    return Schedule(stage, seed, has_faults=has_faults).run()


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
