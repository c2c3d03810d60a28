"""A run drawn with characters: one line a step, with its place in the run's time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from inngest_django.durations import format_duration
from inngest_django.models import Attempt, Run, Step
from inngest_django.serialization import dumps

WIDTH = 32
VALUE_LIMIT = 160
_MARKS = {
    "planned": "·",
    "running": ">",
    "waiting": "…",
    "completed": "✓",
    "failed": "✗",
    "timed_out": "!",
    "cancelled": "-",
}


def lines(
    run: Run,
    steps: Sequence[Step],
    attempts: Mapping[int | None, Sequence[Attempt]],
    *,
    now: dt.datetime,
) -> list[str]:
    """Return the lines of the steps, with failed attempts and results under each."""
    ends = [step.ended_at for step in steps if step.ended_at is not None]
    end = max([run.ended_at or now, run.queued_at, *ends])
    name_width = max((len(str(step)) for step in steps), default=0)
    op_width = max((len(step.op) for step in steps), default=0)
    drawn: list[str] = []
    for step in steps:
        took = "" if step.started_at is None else span((step.ended_at or end) - step.started_at)
        drawn.append(
            f"  {_MARKS.get(step.status, '?')} {step!s:<{name_width}}  {step.op:<{op_width}}"
            f"  {step.status:<9}  {took:>8}  |{bar(run.queued_at, end, step)}|"
        )
        drawn += [f"      {text}" for text in _details(step, attempts.get(step.pk, ()))]
    for attempt in attempts.get(None, ()):
        drawn.append(f"  {_failure(attempt, whose='the function')}")
    return drawn


def bar(start: dt.datetime, end: dt.datetime, step: Step) -> str:
    """Return the stretch of a step inside the run's time."""
    total = (end - start).total_seconds()
    if step.started_at is None or total <= 0:
        return " " * WIDTH
    first = _column((step.started_at - start).total_seconds() / total)
    last = _column(((step.ended_at or end) - start).total_seconds() / total)
    return (" " * first + "█" * (max(last, first) - first + 1)).ljust(WIDTH)


def span(length: dt.timedelta) -> str:
    """Return a length of time as ``12ms``, ``3.21s`` or ``1h30m``."""
    seconds = max(length.total_seconds(), 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.3g}s"
    return format_duration(dt.timedelta(seconds=round(seconds)))


def value(decoded: object) -> str:
    """Return a value on one line, cut."""
    text = dumps(decoded)
    return text if len(text) <= VALUE_LIMIT else f"{text[:VALUE_LIMIT]}… ({len(text)} bytes)"


def error(stored: object) -> str:
    """Return a stored error on one line."""
    if not isinstance(stored, Mapping):
        return str(stored)
    return " ".join(f"{stored.get('name')}: {stored.get('message')}".split())[:400]


def _details(step: Step, attempts: Sequence[Attempt]) -> list[str]:
    found = [_failure(attempt, whose="") for attempt in attempts]
    if step.error is not None and not attempts:
        found.append(error(step.error))
    if step.output is not None:
        found.append(f"= {value(step.output)}")
    return found


def _failure(attempt: Attempt, *, whose: str) -> str:
    owner = f" of {whose}" if whose else ""
    return f"attempt {attempt.number + 1}{owner} failed: {error(attempt.error)}"


def _column(share: float) -> int:
    return min(max(int(share * WIDTH), 0), WIDTH - 1)
