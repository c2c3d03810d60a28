"""Reads a run from its rows as a recording, scrubbed or as it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from inngest_django.drivers.recordings import Recording
from inngest_django.drivers.rehearsal import KnownStep
from inngest_django.errors import ErrorValue
from inngest_django.management.live_runs import known_steps
from inngest_django.management.scrubbing import Scrubber
from inngest_django.models import Run
from inngest_django.states import RunStatus


def read(run: Run) -> Recording:
    """Return a run as it is; its event must be loaded."""
    return Recording(
        run_id=run.pk,
        function_id=run.function_id,
        status=RunStatus(run.status),
        output=run.output,
        error=run.error,
        events=tuple(event.payload() for event in run.events),
        # Open ones last, on every database.
        steps=tuple(sorted(known_steps(run.pk), key=lambda step: step.is_open)),
    )


def scrub(recording: Recording, *, keep: Iterable[str] = ()) -> tuple[Recording, set[str]]:
    """Return a recording without secrets, and which of the names to keep it has."""
    scrubber = Scrubber(keep)
    scrubber.learn(_values(recording))
    scrubbed = dataclasses.replace(
        recording,
        output=scrubber.scrub(recording.output, "output"),
        error=_error(recording.error, "error", scrubber),
        events=tuple(
            {**event, **{key: scrubber.scrub(event[key], f"event.{key}") for key in _of(event)}}
            for event in recording.events
        ),
        steps=tuple(_step(step, scrubber) for step in recording.steps),
        is_scrubbed=True,
    )
    return dataclasses.replace(scrubbed, scrubbed=dict(scrubber.found)), scrubber.kept


def _values(recording: Recording) -> Iterable[tuple[str, Any]]:
    for event in recording.events:
        for key in _of(event):
            yield f"event.{key}", event[key]
    for step in recording.steps:
        yield f"steps.{step}.output", step.value
    yield "output", recording.output


def _of(event: Any) -> list[str]:
    return [key for key in ("id", "data", "user") if key in event]


def _step(step: KnownStep, scrubber: Scrubber) -> KnownStep:
    return dataclasses.replace(
        step,
        name=scrubber.scrub(step.name, f"steps.{step}"),
        value=scrubber.scrub(step.value, f"steps.{step}.output"),
        error=_error(step.error, f"steps.{step}.error", scrubber),
    )


def _error(error: ErrorValue | None, field: str, scrubber: Scrubber) -> ErrorValue | None:
    if error is None:
        return None
    # A stack shows source lines and paths, and replay has no use for it.
    message = scrubber.scrub(error["message"], f"{field}.message")
    return ErrorValue(code=error["code"], name=error["name"], message=message, stack=None)
