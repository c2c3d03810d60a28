"""Recordings: what a run did, as a file that a test can replay."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inngest_django.drivers.rehearsal import KnownStep
from inngest_django.errors import ErrorValue, InngestError
from inngest_django.ids import hash_step_id
from inngest_django.serialization import loads
from inngest_django.states import OpKind, RunStatus

FORMAT = "inngest-django-run/1"


class RecordingError(InngestError, ValueError):
    """A file is no recording of a run."""

    code = "recording_invalid"
    is_retriable = False


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """A run, its events and its steps in the order in which they were recorded.

    Attributes:
        events: As functions see them, the first one first.
        scrubbed: What was replaced, by field: why.
        is_scrubbed: Whether it was looked for.
    """

    run_id: str
    function_id: str
    status: RunStatus
    events: tuple[Mapping[str, Any], ...]
    steps: tuple[KnownStep, ...]
    output: Any = None
    error: ErrorValue | None = None
    scrubbed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    is_scrubbed: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {
            "format": FORMAT,
            "is_scrubbed": self.is_scrubbed,
            "scrubbed": dict(self.scrubbed),
            "run": {
                "id": self.run_id,
                "function_id": self.function_id,
                "status": str(self.status),
                "output": self.output,
                "error": self.error,
            },
            "events": [dict(event) for event in self.events],
            "steps": [
                {
                    "name": step.name,
                    "index": step.index,
                    "op": str(step.op),
                    "is_open": step.is_open,
                    "output": step.value,
                    "error": step.error,
                    "revision": step.revision,
                }
                for step in self.steps
            ],
        }

    @classmethod
    def from_dict(cls, given: Any, *, name: str) -> Recording:
        """Return the recording in a dict.

        Raises:
            RecordingError: It is none; says what is wrong with ``name``.
        """
        if not isinstance(given, dict) or given.get("format") != FORMAT:
            found = given.get("format") if isinstance(given, dict) else None
            raise RecordingError(
                f"{name} is no exported run: its format is {found!r}, not {FORMAT!r}."
                " Export the run again with manage.py inngest_export."
            )
        try:
            run = given["run"]
            return cls(
                run_id=run["id"],
                function_id=run["function_id"],
                status=RunStatus(run["status"]),
                output=run["output"],
                error=run["error"],
                events=tuple(_event(event) for event in given["events"]),
                steps=tuple(_step(step) for step in given["steps"]),
                scrubbed=given["scrubbed"],
                is_scrubbed=given["is_scrubbed"],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecordingError(
                f"{name} is damaged: {type(error).__name__}: {error}."
                " Export the run again with manage.py inngest_export."
            ) from None

    @classmethod
    def read(cls, path: str | Path) -> Recording:
        """Return the recording in a file.

        Raises:
            RecordingError: The file cannot be read, or is no recording.
        """
        try:
            given = loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise RecordingError(f"{path} cannot be read: {error}") from None
        return cls.from_dict(given, name=str(path))


def _event(given: Any) -> Mapping[str, Any]:
    if not isinstance(given["name"], str) or not isinstance(given["data"], dict):
        raise TypeError("an event needs a name and data")
    return dict(given)


def _step(given: Any) -> KnownStep:
    # Made anew: a name may have been scrubbed.
    return KnownStep(
        hashed_id=hash_step_id(given["name"], given["index"]),
        name=given["name"],
        index=given["index"],
        op=OpKind(given["op"]),
        is_open=given["is_open"],
        value=given["output"],
        error=given["error"],
        revision=given["revision"],
    )
