"""What happens to runs, one line each, in the order in which it happened.

Read from the models, so that whatever process did it, it shows.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator

from django.utils import timezone

from inngest_django import clock, ids
from inngest_django.management import drawing
from inngest_django.models import Attempt, Run, Step
from inngest_django.states import OpKind

# Ids are made before their rows commit; one this late is still seen.
_LOOK_BACK = dt.timedelta(seconds=30)
_MOST_RUNS = 200
_FUNCTION_WIDTH = 32
_STEP_WIDTH = 30
_SETTLED = {"completed": "✓", "failed": "✗", "timed_out": "!", "cancelled": "-"}
_WAITS = {
    OpKind.SLEEP: "sleeps",
    OpKind.WAIT_FOR_EVENT: "waits for an event",
    OpKind.INVOKE_FUNCTION: "waits for the function that it invoked",
}


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class _Fact:
    at: dt.datetime
    order: int
    key: tuple[object, ...] = dataclasses.field(compare=False)
    run: Run = dataclasses.field(compare=False)
    mark: str = dataclasses.field(compare=False)
    what: str = dataclasses.field(compare=False)
    rest: str = dataclasses.field(compare=False, default="")


class Stream:
    """Prints each change of a run once.

    Args:
        write: Takes one line.
        since: Runs queued before this are only followed if they were live then.
    """

    def __init__(self, write: Callable[[str], None], *, since: dt.datetime | None = None) -> None:
        self._write = write
        self._since = since or clock.now()
        self._live: set[str] = set()
        self._told: set[tuple[object, ...]] = set()
        self._ended: dict[str, dt.datetime] = {}

    def follow_live(self) -> int:
        """Follow the runs that have not ended too, from here on; returns how many."""
        runs = list(Run.objects.filter(ended_at__isnull=True).order_by("-pk")[:_MOST_RUNS])
        self._live |= {run.pk for run in runs}
        return len(runs)

    def show(self) -> int:
        """Read the rows and print what is new; returns the number of lines."""
        now = clock.now()
        floor = _lowest_id(max(self._since, now - _LOOK_BACK))
        fresh = Run.objects.filter(pk__gte=floor).values_list("pk", flat=True)[:_MOST_RUNS]
        watched = (self._live | set(fresh)) - self._ended.keys()
        facts: list[_Fact] = []
        # A run is read before its steps: one that ended has all of them.
        for run in Run.objects.filter(pk__in=watched).select_related("event").defer("event__data"):
            facts += [fact for fact in _facts(run) if fact.key not in self._told]
            if run.is_live:
                self._live.add(run.pk)
            else:
                self._live.discard(run.pk)
                self._ended[run.pk] = now
        told = 0
        for fact in sorted(facts):
            self._told.add(fact.key)
            if fact.at >= self._since:
                self._write(_line(fact))
                told += 1
        self._forget(now)
        return told

    def _forget(self, now: dt.datetime) -> None:
        # Old enough that no floor reaches down to them again.
        old = {pk for pk, at in self._ended.items() if now - at > 3 * _LOOK_BACK}
        floor = _lowest_id(now - 2 * _LOOK_BACK)
        old = {pk for pk in old if pk < floor}
        for pk in old:
            del self._ended[pk]
        if old:
            self._told = {key for key in self._told if key[0] not in old}


def _lowest_id(at: dt.datetime) -> str:
    return ids.ulid_from_seed(int(at.timestamp() * 1000), bytes(10))


def _facts(run: Run) -> Iterator[_Fact]:
    yield _Fact(run.queued_at, 0, (run.pk, "queued"), run, "▸", "run started", run.event.name)
    attempts: dict[int | None, list[Attempt]] = {}
    for attempt in run.attempts.order_by("number", "pk"):
        attempts.setdefault(attempt.step_id, []).append(attempt)
    names = {}
    for step in run.steps.order_by("pk"):
        names[step.pk] = str(step)
        yield from _step_facts(run, step)
    for step_id, failed in attempts.items():
        what = names.get(step_id, "") if step_id else "the function itself"
        for attempt in failed:
            rest = f"attempt {attempt.number + 1} failed: {drawing.error(attempt.error)}"
            key = (run.pk, "attempt", attempt.pk)
            yield _Fact(attempt.ended_at, 1, key, run, "↻", what, rest)
    if run.ended_at is not None:
        took = drawing.span(run.ended_at - run.queued_at)
        result = drawing.error(run.error) if run.error else f"= {drawing.value(run.output)}"
        yield _Fact(
            run.ended_at,
            3,
            (run.pk, "ended"),
            run,
            _SETTLED.get(run.status, "-"),
            f"run {run.status}",
            f"{took:>8}  {run.reason or result if run.status != 'completed' else result}",
        )


def _step_facts(run: Run, step: Step) -> Iterator[_Fact]:
    if step.started_at is not None and step.op in _WAITS:
        key = (run.pk, "waiting", step.pk)
        yield _Fact(step.started_at, 1, key, run, "…", str(step), _WAITS[OpKind(step.op)])
    if step.ended_at is not None and step.status in _SETTLED:
        took = drawing.span(step.ended_at - (step.started_at or step.ended_at))
        result = ""
        if step.error:
            result = drawing.error(step.error)
        elif step.output is not None:
            result = f"= {drawing.value(step.output)}"
        yield _Fact(
            step.ended_at,
            2,
            (run.pk, "step", step.pk, step.status),
            run,
            _SETTLED[step.status],
            str(step),
            f"{took:>8}  {result}",
        )


def _line(fact: _Fact) -> str:
    at = timezone.localtime(fact.at) if timezone.is_aware(fact.at) else fact.at
    moment = f"{at:%H:%M:%S}.{at.microsecond // 1000:03}"
    return (
        f"{moment}  {_fit(fact.run.function_id, _FUNCTION_WIDTH)}  {fact.run.pk[-6:]}"
        f"  {fact.mark} {_fit(fact.what, _STEP_WIDTH)}  {fact.rest}"
    ).rstrip()


def _fit(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"
