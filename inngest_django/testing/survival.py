"""Crashing a function at every point in turn, and comparing what comes of it."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inngest_django.engine import crash_points
from inngest_django.events import Event
from inngest_django.functions.function import Function
from inngest_django.testing.faults import BEFORE_BODY
from inngest_django.testing.handles import as_json

if TYPE_CHECKING:
    from inngest_django.testing.durable import Durable
    from inngest_django.testing.handles import RunHandle


_POINTS = (BEFORE_BODY, *crash_points.NAMES)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What was tried.

    Attributes:
        crashes: How many runs were crashed, one time each.
        points: By point, how often a run passes it.
        not_compared: What differs from run to run without any crash: ids, random numbers.
    """

    crashes: int
    points: Mapping[str, int]
    not_compared: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Observed:
    facts: dict[str, Any]
    timeline: str


def assert_survives_crashes(
    durable: Durable,
    function: Function,
    event: Event | str | Mapping[str, Any] | None = None,
    *,
    deliver: Sequence[Event] = (),
    steps: Mapping[str, Any] | None = None,
    ledger: Callable[[], Any] | None = None,
    points: Iterable[str] | None = None,
) -> Report:
    """Run a function with a crash at every point in turn; each run must end the same.

    Status, output, error, steps and ``ledger`` must be those of a run without a crash. Each
    run begins with the rows and at the time at which this is called, and is rolled back;
    what it does elsewhere is not. Time passes until the run ends.

    Args:
        deliver: Events to send, one whenever the run waits for one.
        steps: Chosen results, as for ``Durable.run``.
        ledger: Called at the end of each run; returns what it left behind, to be compared.
            Put into it what must happen once.
        points: Only these, of ``engine.crash_points.NAMES`` and ``before_body``.

    Raises:
        AssertionError: A run ended otherwise, or not at all.
    """
    wanted = set(_POINTS if points is None else points)
    if unknown := sorted(wanted.difference(_POINTS)):
        raise ValueError(
            f"assert_survives_crashes: no points are called {unknown}."
            f" Choose from {', '.join(_POINTS)}."
        )
    trial = _Trial(durable, function, event, tuple(deliver), steps, ledger)
    expected, passed = trial.run()
    again, _ = trial.run()
    unstable = sorted(
        fact
        for fact in {*expected.facts, *again.facts}
        if expected.facts.get(fact) != again.facts.get(fact)
    )
    crashes = 0
    for point in _POINTS:
        for number in range(passed[point] if point in wanted else 0):
            observed, _ = trial.run(point=point, skip=number)
            crashes += 1
            _compare(expected, observed, unstable, where=f"{point}, passage {number + 1}")
    return Report(
        crashes=crashes,
        points={name: count for name, count in passed.items() if name in wanted},
        not_compared=tuple(unstable),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Trial:
    durable: Durable
    function: Function
    event: Any
    deliver: tuple[Event, ...]
    steps: Mapping[str, Any] | None
    ledger: Callable[[], Any] | None

    def run(
        self, *, point: str | None = None, skip: int = 0
    ) -> tuple[_Observed, collections.Counter[str]]:
        durable, faults = self.durable, self.durable.faults
        with durable.rolled_back():
            faults.forget()
            faults.wants_ticks = True
            try:
                if point is not None:
                    faults.crash_at(point=point, skip=skip)
                run = durable.run(self.function, self.event, steps=self.steps)
                self._finish(run)
                self._expect_crash(run)
                return self._observe(run), collections.Counter(faults.reached)
            except AssertionError as error:
                if point is not None:
                    error.add_note(f"With a crash at {point}, passage {skip + 1}.")
                raise
            finally:
                faults.wants_ticks = False

    def _expect_crash(self, run: RunHandle) -> None:
        if self.durable.faults.unreached:
            raise AssertionError(
                "the run did not pass the point as often as before: it takes another way each"
                f" time\n\n{run.timeline}"
            )

    def _finish(self, run: RunHandle) -> None:
        waiting = list(self.deliver)
        while run.is_live and waiting:
            if _is_waiting(run):
                self.durable.deliver(waiting.pop(0))
            else:
                self.durable.pass_to_next(run)
        run.finish()

    def _observe(self, run: RunHandle) -> _Observed:
        row, steps = run.row, run.steps
        error = row.error or {}
        facts: dict[str, Any] = {
            "status": str(row.status),
            "output": row.output,
            "error": (error.get("name"), error.get("message")),
            # By name: the order of a group's steps is nobody's business.
            "steps": sorted((step.name, step.status) for step in steps.values()),
        }
        for step in steps.values():
            facts[f"output of step {step.name}"] = step.output
        if self.ledger is not None:
            facts["ledger"] = as_json(self.ledger())
        return _Observed(facts=facts, timeline=run.timeline)


def _is_waiting(run: RunHandle) -> bool:
    return any(
        step.op == "WaitForEvent" and step.status == "waiting" for step in run.steps.values()
    )


def _compare(
    expected: _Observed, observed: _Observed, unstable: Sequence[str], *, where: str
) -> None:
    __tracebackhide__ = True
    different = [
        f"{fact}: expected {expected.facts.get(fact)!r}, got {observed.facts.get(fact)!r}"
        for fact in {**expected.facts, **observed.facts}
        if fact not in unstable and expected.facts.get(fact) != observed.facts.get(fact)
    ]
    if different:
        raise AssertionError(
            f"after a crash at {where}, the run ended otherwise:\n  "
            + "\n  ".join(different)
            + f"\n\n{observed.timeline}\n\nwithout a crash:\n{expected.timeline}"
        )
