"""What today's code would do to live runs."""

from __future__ import annotations

import collections
import dataclasses
import enum
from collections.abc import Callable, Iterable, Iterator, Mapping

from inngest_django.drivers.base import Op
from inngest_django.drivers.rehearsal import KnownStep, Rehearsal
from inngest_django.engine import sync, transactions
from inngest_django.functions import registry
from inngest_django.functions.function import Function
from inngest_django.management import live_runs
from inngest_django.management.live_runs import Group
from inngest_django.models import Function as FunctionRow
from inngest_django.source.paths import exclude_each_other
from inngest_django.source.seen import Place, StepCall
from inngest_django.source.texts import Library
from inngest_django.source.walk import walk
from inngest_django.states import OpKind

MAX_EXAMPLES = 3


class Effect(enum.StrEnum):
    """What becomes of a run. ``STRANDING`` has those that should stop a deploy."""

    UNAFFECTED = "unaffected"  # Goes on where it stands; new steps may come first.
    VANISHED = "vanished"  # The code has no such function; the run would wait for ever.
    PARKED = "parked"  # Stands at a step that the code does not have any more.
    RERUNS = "reruns"  # A step that is done would run again under another id.
    FAILS = "fails"  # The code raises before it comes to where the run stands.
    OTHER_KIND = "other_kind"  # A step's id is now that of another kind of step.
    INVOKES_VANISHED = "invokes_vanished"  # Its next step invokes a function that is gone.
    ELSEWHERE = "elsewhere"  # The function is of another app, whose workers live.
    UNKNOWN = "unknown"  # Could not be told.


STRANDING = frozenset(Effect) - {Effect.UNAFFECTED, Effect.ELSEWHERE, Effect.UNKNOWN}


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of some runs, and why.

    Attributes:
        step: The run's step that it is about, or empty.
        message: A sentence about "they", the runs; empty for the unaffected.
    """

    effect: Effect
    step: str = ""
    message: str = ""


FINE = Verdict(Effect.UNAFFECTED)


@dataclasses.dataclass(slots=True)
class Forecast:
    """What becomes of one function's live runs.

    Attributes:
        run_count: All its live runs that were read.
        runs: By verdict, how many; a run with several things wrong is in each.
        examples: Ids of some of them.
        unseen: Runs like others that got different verdicts, and were not looked at.
    """

    function_id: str
    run_count: int = 0
    runs: collections.Counter[Verdict] = dataclasses.field(default_factory=collections.Counter)
    examples: dict[Verdict, list[str]] = dataclasses.field(default_factory=dict)
    unseen: int = 0


def make(
    groups: list[Group], *, is_static: bool, progress: Callable[[int], None] = lambda _: None
) -> list[Forecast]:
    """Return what becomes of the runs, by function.

    Args:
        is_static: Read the source only; no code of the functions is called.
        progress: Called with the number of groups done.
    """
    forecaster = _Forecaster(is_static=is_static)
    forecasts: dict[str, Forecast] = {}
    for number, group in enumerate(sorted(groups, key=lambda g: g.function_id), start=1):
        forecast = forecasts.setdefault(group.function_id, Forecast(group.function_id))
        forecast.run_count += group.count
        forecaster.add(group, forecast)
        progress(number)
    return list(forecasts.values())


class _Forecaster:
    def __init__(self, *, is_static: bool) -> None:
        self._is_static = is_static
        self._functions = registry.all()
        self._apps = {function.app_id for function in self._functions.values()}
        self._alive: frozenset[str] | None = None
        self._library = Library()
        self._codes: dict[str, _Code] = {}

    def add(self, group: Group, forecast: Forecast) -> None:
        """Add the verdicts on a group's runs."""
        function = self._functions.get(group.function_id)
        if function is None or not group.steps:
            verdict = FINE if function is not None else self._without_function(group.function_id)
            _count(forecast, [verdict], group.count, group.run_ids)
            return
        by_run = {
            run_id: verdicts
            for run_id in group.run_ids
            if (verdicts := self._verdicts(function, run_id)) is not None
        }
        if len(set(map(frozenset, by_run.values()))) == 1:
            _count(forecast, next(iter(by_run.values())), group.count, group.run_ids)
            return
        for run_id, verdicts in by_run.items():
            _count(forecast, verdicts, 1, [run_id])
        if by_run:
            forecast.unseen += group.count - len(group.run_ids)

    def _without_function(self, function_id: str) -> Verdict:
        if self._is_vanished(function_id):
            message = "The code has no such function; they would wait for ever."
            return Verdict(Effect.VANISHED, "", message)
        message = "The function is of another app, whose workers are alive."
        return Verdict(Effect.ELSEWHERE, "", message)

    def _is_vanished(self, function_id: str) -> bool:
        """Whether a function is not in the code, and not of another app that is alive."""
        if function_id in self._functions:
            return False
        if any(function_id.startswith(f"{app}-") for app in self._apps):
            return True  # Of this code's own app, which may well be alive in its old version.
        if self._alive is None:
            since = transactions.now() - sync.ALIVE_FOR
            rows = FunctionRow.objects.filter(registered_at__gte=since)
            self._alive = frozenset(rows.values_list("pk", flat=True))
        return function_id not in self._alive

    def _verdicts(self, function: Function, run_id: str) -> list[Verdict] | None:
        """Return what becomes of a run; None when it has ended meanwhile."""
        steps = live_runs.known_steps(run_id)
        code = self._code(function)
        if self._is_static:
            return list(code.verdicts(steps)) or [FINE]
        try:
            rehearsal = live_runs.rehearse_run(function, run_id, steps)
        except Exception as error:  # noqa: BLE001 - a database's, or of a kind not thought of
            message = f"The code could not be called: {type(error).__name__}: {error}"[:300]
            return [Verdict(Effect.FAILS, "", message)]
        if rehearsal is None:
            return None
        return list(self._of_rehearsal(rehearsal, code)) or [FINE]

    def _code(self, function: Function) -> _Code:
        code = self._codes.get(function.id)
        if code is None:
            code = self._codes[function.id] = _Code(function, self._library)
        return code

    def _of_rehearsal(self, rehearsal: Rehearsal, code: _Code) -> Iterator[Verdict]:
        for met in rehearsal.met:
            if met.known is not None and met.is_other_kind:
                message = f"It was a {met.known.op}, and is a {met.op} in the code."
                yield Verdict(Effect.OTHER_KIND, str(met), message)
        if rehearsal.error is not None and rehearsal.unmet:
            name, message = rehearsal.error["name"], rehearsal.error["message"]
            where = f' after step "{rehearsal.met[-1]}"' if rehearsal.met else ""
            yield Verdict(
                Effect.FAILS,
                str(rehearsal.unmet[-1]),
                f"The code raises {name}{where}, before it comes to this step: {message}"[:300],
            )
            return
        yield from _of_unmet(rehearsal, code)
        for op in rehearsal.new:
            target = str(op.opts.get("function_id"))
            if op.kind is OpKind.INVOKE_FUNCTION and self._is_vanished(target):
                message = f"It invokes function {target!r}, which the code does not have."
                yield Verdict(Effect.INVOKES_VANISHED, op.name, message)


def _of_unmet(rehearsal: Rehearsal, code: _Code) -> Iterator[Verdict]:
    """Yield verdicts on the steps that the code did not come to."""
    new = rehearsal.new
    instead = ", ".join(f'"{op.name}"' for op in new)
    is_renamed = False
    for step in rehearsal.unmet:
        if new and code.has_behind(new, step):
            continue
        if step.is_open:
            if new:
                message = f"The code has no such step where they stand; it begins {instead}."
            elif rehearsal.is_over:
                message = "The code has no such step; it comes to its end without it."
            else:
                message = "The code has no such step beside the others that they wait for."
            yield Verdict(Effect.PARKED, str(step), message)
        elif new and not is_renamed and code.is_first_seen(new):
            is_renamed = True
            message = f"It is done, and the code does not come to it; it begins {instead} instead."
            yield Verdict(Effect.RERUNS, str(step), message)


class _Code:
    """The steps that a function has by its source."""

    def __init__(self, function: Function, library: Library) -> None:
        self._function = function
        self._recent: frozenset[str] | None = None
        self._calls: list[StepCall] | None = None
        try:
            text = library.text_of(function.handler)
            self._calls = None if text is None else walk(text).steps
        except Exception:  # noqa: BLE001 - source can be anything
            self._calls = None

    def has(self, name: str) -> bool:
        """Whether the source has a step of this name, in full or by a pattern."""
        return bool(self._named(name))

    def has_behind(self, ops: Iterable[Op], step: KnownStep) -> bool:
        """Whether the source has a step where a run may still come to from new ones."""
        new = [call for op in ops for call in self._named(op.name)]
        return any(
            not new or any(_may_follow(call.place, before.place) for before in new)
            for call in self._named(step.name)
        )

    def _named(self, name: str) -> list[StepCall]:
        calls = self._calls or ()
        return [call for call in calls if not call.name.is_open and call.name.matches(name)]

    def is_first_seen(self, ops: Iterable[Op]) -> bool:
        """Whether no recent run has recorded one of these steps."""
        return any(op.name not in self._recent_names() for op in ops)

    def verdicts(self, steps: list[KnownStep]) -> Iterator[Verdict]:
        """Yield what the source alone tells."""
        gone = [step for step in steps if not self.has(step.name)]
        if not gone:
            return
        names = None if self._calls is None else {call.name for call in self._calls}
        if names is None or any(name.is_open for name in names):
            message = "The source does not tell the ids of all steps; rehearse without --static."
            yield Verdict(Effect.UNKNOWN, "", message)
            return
        fresh = sorted(
            str(name)
            for name in names
            if not any(name.matches(known) for known in self._recent_names())
        )
        for step in gone:
            if step.is_open:
                yield Verdict(Effect.PARKED, str(step), "The source has no such step.")
            elif fresh:
                instead = ", ".join(f'"{name}"' for name in fresh)
                message = f"It is done, and the source has {instead}, which no run has recorded."
                yield Verdict(Effect.RERUNS, str(step), message)

    def _recent_names(self) -> frozenset[str]:
        if self._recent is None:
            self._recent = live_runs.recent_names(self._function.id)
        return self._recent


def _may_follow(place: Place, before: Place) -> bool:
    """Whether a run that is at one place may come to another after it."""
    if exclude_each_other(place.arms, before.arms):
        return False
    is_together = place.is_in_group and before.is_in_group
    return place.order > before.order or is_together or bool({*place.loops} & {*before.loops})


def _count(forecast: Forecast, verdicts: list[Verdict], count: int, run_ids: list[str]) -> None:
    for verdict in verdicts:
        forecast.runs[verdict] += count
        examples = forecast.examples.setdefault(verdict, [])
        examples += run_ids[: MAX_EXAMPLES - len(examples)]


def stranded(forecasts: list[Forecast], allowed: frozenset[Effect]) -> Mapping[Effect, int]:
    """Return how many runs each stranding effect has that is not allowed."""
    totals: collections.Counter[Effect] = collections.Counter()
    for forecast in forecasts:
        for verdict, count in forecast.runs.items():
            if verdict.effect in STRANDING - allowed:
                totals[verdict.effect] += count
    return totals
