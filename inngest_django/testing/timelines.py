"""A run as text, for a person who wants to know why a test failed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator

from inngest_django.durations import format_duration
from inngest_django.engine import explanation
from inngest_django.functions import registry
from inngest_django.models import Attempt, Run, Step
from inngest_django.serialization import dumps
from inngest_django.states import OpKind, StepStatus

_WIDTH = 160
_ORDER_LAST = 10**9


def describe(run: Run, *, unmet: Iterable[str] = ()) -> str:
    """Return what happened in a run, line by line, with times since it was queued.

    Args:
        unmet: Steps for which the test chose a result, and which the run never called.
    """
    lines = [f"run {run.id} of {run.function_id}: {run.status}"]
    lines += [
        f"  {_since(run, when):>9}  {text}"
        for when, _, text in sorted(_happenings(run), key=lambda item: item[:2])
    ]
    if run.is_live:
        lines.append(f"  now: {explanation.why(run)}")
        if registry.get(run.function_id) is None:
            lines.append(
                f"  now: function {run.function_id} is not registered in this test:"
                " durable.register(function)."
            )
    lines += [
        f'  note: a result was chosen for step "{name}", which was never called' for name in unmet
    ]
    return "\n".join(lines)


def _happenings(run: Run) -> Iterator[tuple[dt.datetime, int, str]]:
    events = run.events
    more = f" and {len(events) - 1} more" if len(events) > 1 else ""
    data = _short(dumps(events[0].data or {}))
    yield run.queued_at, 0, f"queued by event {events[0].name} {data}{more}"
    for step in Step.objects.filter(run=run).order_by("id"):
        place = step.revision or _ORDER_LAST
        if step.status == StepStatus.WAITING or (step.op != OpKind.STEP_RUN and step.started_at):
            yield step.started_at or run.queued_at, place, f"step {step}: {_waiting(step)}"
        if step.ended_at is not None and step.status != StepStatus.WAITING:
            yield step.ended_at, place, f"step {step}: {_ended(step)}"
        elif step.is_open and step.status != StepStatus.WAITING:
            yield step.started_at or run.queued_at, place, f"step {step}: {step.status}"
    for attempt in Attempt.objects.filter(run=run).select_related("step").order_by("id"):
        what = f"step {attempt.step}" if attempt.step is not None else "the function"
        yield (
            attempt.ended_at,
            1,
            f"{what}: try {attempt.number + 1} failed: {_error(attempt.error)}",
        )
    if run.ended_at is not None:
        yield run.ended_at, _ORDER_LAST + 1, _run_ended(run)


def _waiting(step: Step) -> str:
    given = step.input or {}
    if step.op == OpKind.SLEEP:
        return f"sleeps until {given.get('until')}"
    if step.op == OpKind.WAIT_FOR_EVENT:
        condition = f" if {given['if']}" if given.get("if") else ""
        return f"waits for {given.get('event')}{condition}, at most until {given.get('expires_at')}"
    return f"invoked {given.get('function_id')} with {_short(dumps(given.get('data')))}"


def _ended(step: Step) -> str:
    if step.status == StepStatus.FAILED:
        return f"failed: {_error(step.error)}"
    if step.status == StepStatus.COMPLETED and step.op != OpKind.SLEEP:
        return f"completed: {_short(dumps(step.output))}"
    return str(StepStatus(step.status)).replace("_", " ")


def _run_ended(run: Run) -> str:
    if run.error:
        stack = run.error.get("stack") or ""
        where = "".join(f"\n             | {line}" for line in stack.rstrip().splitlines()[-6:])
        return f"{run.status}: {_error(run.error)}{where}"
    if run.output is not None or not run.reason:
        return f"{run.status}: {_short(dumps(run.output))}"
    return f"{run.status}: {run.reason}"


def _error(error: dict[str, str] | None) -> str:
    return "" if not error else _short(f"{error['name']}: {error['message']}")


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}…"


def _since(run: Run, when: dt.datetime) -> str:
    passed = when - run.queued_at
    return f"+{format_duration(max(passed, dt.timedelta(0)))}"
