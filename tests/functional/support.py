"""What a functional test says: send, wait, look."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from inngest_django import Event, Function, Inngest
from tests.processes import Stack, wait_until

if TYPE_CHECKING:
    from inngest_django.models import Run

T = TypeVar("T")

# The one client of all functional tests, unless a test is about clients.
client = Inngest(app_id="functional", is_production=False)

_counter = itertools.count()


def event_name(fn_id: str) -> str:
    """Return the event that starts the function of this id and no other."""
    return f"functional/{fn_id}"


def unique(text: str = "u") -> str:
    """Return a text that no other test, session or worker uses."""
    return f"{text}-{time.time_ns():x}-{next(_counter)}"


class Live:
    """The running worker and beat, as a test uses them.

    Attributes:
        stack: The processes (or threads) themselves.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def send(self, name: str, data: Mapping[str, Any] | None = None, **fields: Any) -> str:
        """Send one event as a project would and return its id."""
        [event_id] = client.send_sync(Event(name=name, data=data or {}, **fields))
        return event_id

    def run(
        self,
        function: Function[Any],
        data: Mapping[str, Any] | None = None,
        *,
        timeout: float = 20,
        **fields: Any,
    ) -> Run:
        """Send the event that starts ``function`` and return its run when it has ended."""
        return self.ended(self.start(function, data, **fields), timeout=timeout)

    def start(
        self, function: Function[Any], data: Mapping[str, Any] | None = None, **fields: Any
    ) -> Run:
        """Send the event that starts ``function`` and return its run when it exists."""
        event_id = self.send(_event_of(function), data, **fields)
        return self.started(event_id, function)

    def runs(self, event_id: str, function: Function[Any] | str | None = None) -> list[Run]:
        """Return the runs that an event started so far, oldest first."""
        from inngest_django.models import Run

        found = Run.objects.filter(event_id=event_id)
        if function is not None:
            found = found.filter(function_id=_id_of(function))
        return list(found.order_by("id"))

    def started(
        self,
        event_id: str,
        function: Function[Any] | str | None = None,
        *,
        count: int = 1,
        timeout: float = 20,
    ) -> Run:
        """Return the first run that the event started, when there are ``count`` of them."""

        def first() -> Run | None:
            runs = self.runs(event_id, function)
            return runs[0] if len(runs) >= count else None

        return wait_until(first, timeout, what=f"run of event {event_id}")

    def ended(self, run: Run, *, timeout: float = 20) -> Run:
        """Return the run, fresh from the database, when it has ended."""

        def over() -> Run | None:
            run.refresh_from_db()
            return None if run.is_live else run

        return wait_until(over, timeout, what="end of the run", explain=lambda: describe(run))

    def step(self, run: Run, name: str, *, status: str | None = None, timeout: float = 20) -> Any:
        """Return the step of this name, when it exists (and has this status)."""

        def found() -> Any:
            steps = run.steps.filter(name=name)
            return (steps.filter(status=status) if status else steps).first()

        wanted = f"step {name!r} {status or ''}".rstrip()
        return wait_until(found, timeout, what=wanted, explain=lambda: describe(run))

    def wait_until(
        self, predicate: Callable[[], T | None], timeout: float = 20, *, what: str = ""
    ) -> T:
        """Return the first truthy answer of ``predicate``."""
        return wait_until(predicate, timeout, what=what)


def describe(run: Run) -> str:
    """Return all there is to know about a run, for the message of a failure."""
    lines = [f"{run.function_id} {run.id}: {run.status} {run.reason} error={run.error}"]
    lines += [
        f"  step {step}: {step.op} {step.status} attempts={step.attempt_count} error={step.error}"
        for step in run.steps.order_by("id")
    ]
    lines += [
        f"  job {job.kind}: available_at={job.available_at} attempt={job.attempt}"
        f" lease={job.lease_owner!r} hints={job.hint_count} {job.note}"
        for job in run.jobs.all()
    ]
    return "\n".join(lines)


def _id_of(function: Function[Any] | str) -> str:
    return function if isinstance(function, str) else function.id


def _event_of(function: Function[Any]) -> str:
    events = [trigger.event for trigger in function.triggers if hasattr(trigger, "event")]
    if not events:
        raise AssertionError(f"{function.id} has no event trigger; send its event yourself.")
    return str(events[0])
