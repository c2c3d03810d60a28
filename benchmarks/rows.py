"""The rows of the table: what is compared with what, and what it must reach."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Mapping

# (stack, workload, figure) -> one value for each pair; NaN where a measurement failed.
Values = Mapping[tuple[str, str, str], list[float]]
PLAIN, DURABLE, FAST = "plain Celery", "apply_async", "FAST_PUBLISH"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line.

    Attributes:
        figure: Of our sides, as (workload, figure).
        base: Of the plain side; None when nothing there compares.
        goal: What a ratio (with ``base``) or a value (without) must reach, by broker.
        is_rate: Whether higher is better.
        has_ratio: Whether a ratio to the base means something; not where both are near zero.
    """

    work: str
    unit: str
    figure: tuple[str, str]
    base: tuple[str, str] | None = None
    goal: Callable[[str], float | None] = lambda _: None
    goal_text: Callable[[str], str] = lambda _: ""
    is_rate: bool = True
    is_goal_of_value: bool = False
    has_ratio: bool = True

    def is_met(self, broker: str, *, value: float, ratio: float | None) -> bool | None:
        """Whether the goal is reached; None without one."""
        goal = self.goal(broker)
        reached = value if self.is_goal_of_value else ratio
        if goal is None or reached is None or math.isnan(reached):
            return None
        return reached >= goal if self.is_rate else reached <= goal


def _by(redis: float, rabbitmq: float) -> Callable[[str], float]:
    return lambda broker: redis if broker == "redis" else rabbitmq


def _same(goal: float) -> Callable[[str], float]:
    return lambda _: goal


def _times(redis: float, rabbitmq: float | None = None) -> dict[str, object]:
    goal = _by(redis, redis if rabbitmq is None else rabbitmq)
    return {"goal": goal, "goal_text": lambda broker: f"{goal(broker):g} x"}


def _under(value: float, unit: str, *, word: str = "under") -> dict[str, object]:
    return {
        "goal": _same(value),
        "goal_text": lambda _: f"{word} {value:g} {unit}",
        "is_rate": False,
        "is_goal_of_value": True,
    }


ROWS: tuple[Row, ...] = (
    Row(work="W1 one-step runs, each event sent by itself", unit="runs/s",
        figure=("W1", "runs"), base=("W1", "runs"), **_times(0.6)),  # type: ignore[arg-type]
    Row(work="W1 the same, all events sent at once", unit="runs/s",
        figure=("W1", "runs_at_once"), base=("W1", "runs"), **_times(0.6)),  # type: ignore[arg-type]
    Row(work="W1 each by itself, checkpointed", unit="runs/s",
        figure=("W1", "runs_checkpointed"), base=("W1", "runs"), **_times(0.9)),  # type: ignore[arg-type]
    Row(work="W1 all at once, checkpointed", unit="runs/s",
        figure=("W1", "runs_checkpointed_at_once"), base=("W1", "runs"), **_times(0.9)),  # type: ignore[arg-type]
    Row(work="W1 one at a time, p50", unit="ms",
        figure=("W1", "latency"), base=("W1", "latency"), **_under(20, "ms")),  # type: ignore[arg-type]
    Row(work="W2 sequences, one task per step", unit="steps/s",
        figure=("W2", "steps"), base=("W2", "steps"), **_times(1.4, 1.2)),  # type: ignore[arg-type]
    Row(work="W2 the same, checkpointed", unit="steps/s",
        figure=("W2", "steps_checkpointed"), base=("W2", "steps"), **_times(4, 3)),  # type: ignore[arg-type]
    Row(work="W2 the share of the ceiling (no-op chain)", unit="steps/s",
        figure=("W2", "steps"), base=("W2", "noop")),
    Row(work="W3 parallel steps and the join, against no-op tasks", unit="s",
        figure=("W3", "seconds"), base=("W3", "noop"), goal=_same(2.5),
        goal_text=lambda _: "at most 2.5 x", is_rate=False),
    Row(work="W3 the same, against a chord", unit="s",
        figure=("W3", "seconds"), base=("W3", "seconds"), is_rate=False),
    Row(work="W4 one long sequence, one task per step", unit="s",
        figure=("W4", "seconds"), base=("W4", "seconds"), is_rate=False),
    Row(work="W4 the same, checkpointed", unit="s",
        figure=("W4", "seconds_checkpointed"), base=("W4", "seconds"), **_under(3.5, "s")),  # type: ignore[arg-type]
    Row(work="W4 last 50 steps over the first 50", unit="x",
        figure=("W4", "growth"), **_under(2.5, "x")),  # type: ignore[arg-type]
    Row(work="W4 the same, checkpointed", unit="x",
        figure=("W4", "growth_checkpointed"), **_under(1.3, "x")),  # type: ignore[arg-type]
    Row(work="W4 the part of its time that grows with n²", unit="%",
        figure=("W4", "square"), is_rate=False),
    Row(work="W4 the same, checkpointed", unit="%",
        figure=("W4", "square_checkpointed"), is_rate=False),
    Row(work="W4 rows of steps read per step, a quarter of the steps", unit="rows",
        figure=("W4", "reads_short"), is_rate=False),
    Row(work="W4 rows of steps read per step, all of the steps", unit="rows",
        figure=("W4", "reads_long"), is_rate=False),
    Row(work="W5 event to resumed run, p50, few open waits", unit="ms",
        figure=("W5", "p50"), **_under(20, "ms")),  # type: ignore[arg-type]
    Row(work="W5 the same, p50, many open waits", unit="ms",
        figure=("W5", "big_p50"), **_under(20, "ms")),  # type: ignore[arg-type]
    Row(work="W5 the same, many over few", unit="x",
        figure=("W5", "big_over_few"), **_under(1.5, "x", word="at most")),  # type: ignore[arg-type]
    Row(work="W5 a tick over that many waits, p50", unit="ms",
        figure=("W5", "tick_p50"), **_under(5, "ms")),  # type: ignore[arg-type]
    Row(work="W6 sleeps, lateness of the wake-up, p95", unit="ms",
        figure=("W6", "p95"), base=("W6", "p95"), **_under(200, "ms")),  # type: ignore[arg-type]
    Row(work="W6 the same, until the run has ended, p95", unit="ms",
        figure=("W6", "ended_p95"), base=("W6", "p95"), is_rate=False),
    Row(work="T a tick over sleeping runs, none due, p50", unit="ms",
        figure=("T", "p50"), **_under(5, "ms")),  # type: ignore[arg-type]
    Row(work="T the same, p95", unit="ms",
        figure=("T", "p95"), **_under(5, "ms")),  # type: ignore[arg-type]
    Row(work="L ten results of 1 MiB", unit="s",
        figure=("L", "seconds"), **_under(20, "s")),  # type: ignore[arg-type]
    Row(work="M growth of a worker's memory, per checkpointed run of one step", unit="bytes",
        figure=("M", "growth"), base=("M", "growth"), has_ratio=False,
        **_under(100, "bytes")),  # type: ignore[arg-type]
    Row(work="M the same, of its main process", unit="bytes",
        figure=("M", "growth_main"), base=("M", "growth_main"), has_ratio=False),
    Row(work="M the same, of its two children", unit="bytes",
        figure=("M", "growth_child"), base=("M", "growth_child"), has_ratio=False),
)  # fmt: skip


def median(values: list[float]) -> float:
    """Return the median of what was measured; NaN when nothing was."""
    good = [value for value in values if not math.isnan(value)]
    return statistics.median(good) if good else math.nan


def ratios(values: list[float], base: list[float]) -> list[float]:
    """Return value over base, pair by pair."""
    return [
        value / other
        for value, other in zip(values, base, strict=False)
        if other and not math.isnan(value) and not math.isnan(other)
    ]


def shown(value: float) -> str:
    """Return a figure with as many digits as mean something."""
    if math.isnan(value):
        return "failed"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def with_spread(values: list[float], unit: str = "") -> str:
    """Return median and extremes."""
    good = [value for value in values if not math.isnan(value)]
    if len(good) < 2:
        return f"{shown(median(values))}{unit}"
    return f"{shown(median(good))}{unit} ({shown(min(good))} to {shown(max(good))})"
