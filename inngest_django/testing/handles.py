"""A run as a test sees it, with assertions that show what happened when they fail."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Protocol

from inngest_django.engine import explanation
from inngest_django.models import Event, Run, Step, Wait, WaitKind, WaitStatus
from inngest_django.serialization import dumps, loads
from inngest_django.states import OpKind, RunStatus, StepStatus
from inngest_django.testing import timelines
from inngest_django.testing.choices import Choices

_ANY: Any = object()


class Kit(Protocol):
    """What a handle needs of the kit that made it."""

    def choices_of(self, run_id: str) -> Choices:
        """Return what the test chose for a run."""

    def finish(self, run: RunHandle) -> RunHandle:
        """Let time pass until the run ends."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StepView:
    """A recorded step.

    Attributes:
        name: Its id; ``"check:1"`` for the second use of ``"check"``.
        op: ``StepRun``, ``Sleep``, ``WaitForEvent`` or ``InvokeFunction``.
        status: As in ``StepStatus``.
        attempts: Tries of its body that were begun.
    """

    name: str
    op: str
    status: str
    output: Any
    error: Mapping[str, Any] | None
    attempts: int
    input: Any
    started_at: dt.datetime | None
    ended_at: dt.datetime | None


class RunHandle:
    """A run. Everything is read when it is asked for.

    Attributes:
        id: Of the run.
    """

    __test__ = False

    def __init__(self, kit: Kit, run_id: str) -> None:
        self.id = run_id
        self._kit = kit

    def __repr__(self) -> str:
        row = self.row
        return f"<RunHandle {row.function_id} {self.id} {row.status}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunHandle) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    # What there is ---------------------------------------------------------------------

    @property
    def row(self) -> Run:
        """The run's row, as it is now."""
        return Run.objects.select_related("event").get(pk=self.id)

    @property
    def function_id(self) -> str:
        """The qualified id of its function."""
        return self.row.function_id

    @property
    def status(self) -> str:
        """``queued``, ``running``, ``completed``, ``failed``, ``cancelled`` or ``skipped``."""
        return str(self.row.status)

    @property
    def output(self) -> Any:
        """What the function returned, decoded from JSON."""
        return self.row.output

    @property
    def error(self) -> Mapping[str, Any] | None:
        """``code``, ``name``, ``message`` and ``stack``, or None."""
        error: Mapping[str, Any] | None = self.row.error
        return error

    @property
    def event(self) -> Event:
        """The row of the event that started it."""
        return self.row.event

    @property
    def is_live(self) -> bool:
        """Whether it has not ended."""
        return self.row.is_live

    @property
    def steps(self) -> dict[str, StepView]:
        """Its recorded steps by name, in the order in which they were recorded."""
        return {
            str(step): StepView(
                name=str(step),
                op=str(step.op),
                status=str(step.status),
                output=step.output,
                error=step.error,
                attempts=step.attempt_count,
                input=step.input,
                started_at=step.started_at,
                ended_at=step.ended_at,
            )
            for step in Step.objects.filter(run_id=self.id).order_by("id")
        }

    @property
    def children(self) -> list[RunHandle]:
        """The runs that it invoked, oldest first."""
        found = Run.objects.filter(parent__run_id=self.id).order_by("id")
        return [RunHandle(self._kit, run_id) for run_id in found.values_list("id", flat=True)]

    @property
    def why(self) -> str:
        """What it waits for, or how it ended, in one sentence."""
        return explanation.why(self.row)

    @property
    def timeline(self) -> str:
        """What happened so far, as text."""
        row = self.row
        unmet = [] if row.is_live else self._kit.choices_of(self.id).unmet
        return timelines.describe(row, unmet=unmet)

    def finish(self) -> RunHandle:
        """Let time pass, stopping wherever something is due, until the run ends."""
        return self._kit.finish(self)

    # Assertions ------------------------------------------------------------------------

    def assert_completed(self, output: Any = _ANY) -> None:
        """Fail unless it completed, with that output when one is given.

        Args:
            output: Compared as JSON: a tuple equals a list.
        """
        __tracebackhide__ = True
        self._expect_status(RunStatus.COMPLETED)
        if output is not _ANY:
            self._expect_equal("output", self.output, output)

    def assert_failed(
        self, *, name: str | None = None, message: str | None = None, code: str | None = None
    ) -> None:
        """Fail unless it failed, with that error.

        Args:
            name: Of the exception's class.
            message: A part of its text.
        """
        __tracebackhide__ = True
        self._expect_status(RunStatus.FAILED)
        error = self.error or {}
        for key, wanted in (("name", name), ("code", code)):
            if wanted is not None:
                self._expect_equal(f"error's {key}", error.get(key), wanted)
        if message is not None and message not in (error.get("message") or ""):
            self._fail(f"expected {message!r} in the error, got {error.get('message')!r}")

    def assert_cancelled(self) -> None:
        """Fail unless it was cancelled."""
        __tracebackhide__ = True
        self._expect_status(RunStatus.CANCELLED)

    def assert_waiting_for(self, event: str | None = None, *, step: str | None = None) -> None:
        """Fail unless a step waits for an event of that name."""
        __tracebackhide__ = True
        waits = Wait.objects.filter(
            run_id=self.id, kind=WaitKind.EVENT, status=WaitStatus.OPEN
        ).select_related("step")
        found = [(str(wait.step), wait.event_name) for wait in waits]
        if not any(event in (None, name) and step in (None, where) for where, name in found):
            wanted = f" for event {event!r}" if event else ""
            wanted += f" in step {step!r}" if step else ""
            held = ", ".join(f"{name} in step {where}" for where, name in found) or "nothing"
            self._fail(f"expected the run to wait{wanted}; it waits for {held}")

    def assert_sleeping(self, step: str | None = None, *, until: dt.datetime | None = None) -> None:
        """Fail unless it sleeps, in that step, until that moment."""
        __tracebackhide__ = True
        found = {
            name: dt.datetime.fromisoformat(view.input["until"])
            for name, view in self.steps.items()
            if view.op == OpKind.SLEEP and view.status == StepStatus.WAITING
        }
        if not any(
            step in (None, name) and until in (None, moment) for name, moment in found.items()
        ):
            wanted = f" in step {step!r}" if step else ""
            wanted += f" until {until.isoformat()}" if until else ""
            held = ", ".join(f"{name} until {at.isoformat()}" for name, at in found.items())
            self._fail(f"expected the run to sleep{wanted}; it sleeps in: {held or 'no step'}")

    def assert_step(
        self,
        name: str,
        *,
        status: str = StepStatus.COMPLETED,
        output: Any = _ANY,
        attempts: int | None = None,
        error: str | None = None,
        input: Any = _ANY,  # noqa: A002 - as the row calls it
    ) -> StepView:
        """Fail unless a step is recorded like that; return it.

        Args:
            status: ``failed`` is assumed when ``error`` is given.
            attempts: Tries of its body that were begun.
            error: The name of the error's class.
        """
        __tracebackhide__ = True
        steps = self.steps
        if name not in steps:
            self._fail(f"no step is called {name!r}; there are: {', '.join(steps) or 'none'}")
        view = steps[name]
        if error is not None:
            status = StepStatus.FAILED if status == StepStatus.COMPLETED else status
        self._expect_equal(f"status of step {name!r}", view.status, str(status))
        if error is not None:
            self._expect_equal(f"error of step {name!r}", (view.error or {}).get("name"), error)
        if output is not _ANY:
            self._expect_equal(f"output of step {name!r}", view.output, output)
        if input is not _ANY:
            self._expect_equal(f"input of step {name!r}", view.input, input)
        if attempts is not None:
            self._expect_equal(f"attempts of step {name!r}", view.attempts, attempts)
        return view

    def assert_steps(self, names: Sequence[str]) -> None:
        """Fail unless exactly these steps are recorded, in this order."""
        __tracebackhide__ = True
        self._expect_equal("steps", list(self.steps), list(names))

    def assert_not_reached(self, name: str) -> None:
        """Fail if a step is recorded at all."""
        __tracebackhide__ = True
        if name in self.steps:
            self._fail(f"expected step {name!r} not to be reached; it is {self.steps[name].status}")

    def _expect_status(self, wanted: RunStatus) -> None:
        __tracebackhide__ = True
        if self.status != wanted:
            self._fail(f"expected the run to be {wanted}, it is {self.status}")

    def _expect_equal(self, what: str, found: Any, wanted: Any) -> None:
        __tracebackhide__ = True
        if found != as_json(wanted):
            self._fail(f"{what}: expected {wanted!r}, got {found!r}")

    def _fail(self, message: str) -> NoReturn:
        __tracebackhide__ = True
        raise AssertionError(f"{message}\n\n{self.timeline}")


def as_json(value: Any) -> Any:
    """Return a value as it comes out of storage; as it is when it is no JSON."""
    try:
        return loads(dumps(value))
    except (TypeError, ValueError):
        return value
