"""What happens to the runs, line by line, read back from the models."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

from inngest_django.models import Attempt, Run, Step
from inngest_django.serialization import dumps
from project.shop.functions import client

WIDTH = 100
Line = tuple[dt.datetime, str]


class Timeline:
    """Prints each change of a run or step once, in the order of their times."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._shown: set[tuple[object, ...]] = set()
        self._ended: set[str] = set()

    def show(self) -> None:
        """Read the rows and print what is new in them."""
        lines: list[Line] = []
        for run in Run.objects.exclude(pk__in=self._ended).select_related("event"):
            lines += self._new(run)
            if not run.is_live:
                self._ended.add(run.pk)
        for _, line in sorted(lines, key=lambda line: line[0]):
            self._write(line)

    def _new(self, run: Run) -> Iterator[Line]:
        # Steps are read after their run: an ended run has all of them.
        for key, moment, text in self._facts(run):
            if key not in self._shown:
                self._shown.add(key)
                yield moment, f"{_time(moment)} {_label(run)} {_cut(text)}"

    def _facts(self, run: Run) -> Iterator[tuple[tuple[object, ...], dt.datetime, str]]:
        yield (run.pk, "queued"), run.queued_at, f"run {run.pk[-6:]} of {run.event.name}"
        for attempt in run.attempts.select_related("step"):
            text = f"  {_name(attempt)} failed, attempt {attempt.number + 1}: {_error(attempt)}"
            yield (run.pk, "attempt", attempt.pk), attempt.ended_at, text
        for step in run.steps.all():
            if step.started_at and step.status == "waiting":
                yield (step.pk, "waiting"), step.started_at, f"  {step} waits ({step.op})"
            if step.ended_at:
                yield (step.pk, step.status), step.ended_at, f"  {step} {_outcome(step)}"
        if run.ended_at:
            took = _took(run.queued_at, run.ended_at)
            value = run.error["message"] if run.error else dumps(run.output)
            yield (run.pk, run.status), run.ended_at, f"{run.status} in {took}: {value}"


def _outcome(step: Step) -> str:
    assert step.ended_at  # noqa: S101 - for the type checker
    took = _took(step.started_at or step.ended_at, step.ended_at)
    tries = f", {step.attempt_count} attempts" if step.attempt_count > 1 else ""
    value = step.error["message"] if step.error else dumps(step.output)
    return f"{step.status.replace('_', ' ')} in {took}{tries}: {value}"


def _name(attempt: Attempt) -> str:
    return str(attempt.step) if attempt.step else "the function"


def _error(attempt: Attempt) -> str:
    return f"{attempt.error['name']}: {attempt.error['message']}"


def _took(begin: dt.datetime, end: dt.datetime) -> str:
    return f"{max((end - begin).total_seconds(), 0):.3f} s"


def _time(moment: dt.datetime) -> str:
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}"


def _label(run: Run) -> str:
    return f"{run.function_id.removeprefix(f'{client.app_id}-'):<28}"


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."
