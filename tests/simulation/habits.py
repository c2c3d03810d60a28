"""How one schedule goes about it, chosen by its seed."""

from __future__ import annotations

import dataclasses
import random

# How the next worker is chosen: by lot; whoever is furthest behind, so that they come to the
# same place together; or each to its end, but for some that are held up at one place.
STYLES = ("lot", "lockstep", "hold")


@dataclasses.dataclass
class Habits:
    """What is more and less likely.

    Attributes:
        stay: How likely a worker goes on where it could stand.
        slowness: How much slower some tasks are than others, so that much happens meanwhile.
        losses: Workers that may die; counted down.
        errors: Faults of the database that may happen; counted down.
        loses_hints: How likely a hint is lost.
        repeats_hints: How likely a hint is delivered twice.
        budget: Actions before the calm.
        weights: Of each action.
    """

    style: str
    stay: float
    slowness: int
    is_router_slow: bool
    losses: int
    errors: int
    loses_hints: float
    repeats_hints: float
    budget: int
    weights: dict[str, int]


def choose(rng: random.Random, theme: str, *, has_faults: bool) -> Habits:
    """Choose by lot, and lean to what brings a theme's workers to the same place."""
    habits = Habits(
        style=rng.choice(STYLES),
        stay=rng.choice([0.0, 0.3, 0.6, 0.9]),
        slowness=rng.choice([1, 6, 20]),
        is_router_slow=rng.random() < 0.25,
        losses=rng.choice([0, 1, 2, 4]) if has_faults else 0,
        errors=rng.choice([0, 0, 1, 2]) if has_faults else 0,
        loses_hints=rng.choice([0.0, 0.0, 0.2, 0.6]),
        repeats_hints=rng.choice([0.0, 0.0, 0.2, 0.5]),
        budget=rng.choice([80, 160, 320]),
        weights={
            "resume": 30,
            "deliver": rng.choice([12, 30, 90]),
            "send": rng.choice([4, 15]),
            "tick": 3,
            "pass": 4,
            "lease": rng.choice([0, 1, 3, 6]),
            "kill": rng.choice([0, 1, 3]),
            "cancel": 2,
            "renew": rng.choice([0, 2]),
            "drain": rng.choice([0, 0, 1]),
            "broker": rng.choice([0, 0, 1]),
        },
    )
    if theme == "time-outs":
        habits.is_router_slow = True
        habits.weights |= {"lease": 6, "send": 15}
    elif theme == "stalls":
        habits.style = rng.choice(["hold", "hold", "lot"])
        habits.weights |= {"lease": 8, "renew": 0}
    elif theme == "events":
        habits.style = rng.choice(["hold", "hold", "lockstep"])
        habits.weights |= {"deliver": 60, "send": 20}
    elif theme != "mixed":
        habits.weights |= {"deliver": 60, "send": 20}
    if habits.style != "lot":
        habits.stay = 0.0
    return habits
