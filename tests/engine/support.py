"""The real engine in the test process: no broker, no worker, a clock that the test moves.

Hints are kept in a list instead of a broker. ``idle`` works through them, ``lose_hints`` is a
broker that lost everything, ``advance`` moves the clock and ticks.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from inngest_django import clock
from inngest_django.client import Inngest
from inngest_django.engine import executor, recovery, routing, transactions
from inngest_django.engine.hints import JobHint
from inngest_django.events import Event as IncomingEvent
from inngest_django.models import Event, Job, Run, Step

_MOST = 5000


class Engine:
    """Drives the engine step by step."""

    def __init__(self, client: Inngest) -> None:
        self.client = client
        self.jobs: list[JobHint] = []
        self.wants_routing = False
        self.prunings: list[int] = []
        # As a worker does: an expected end is done by the task of the last step.
        self.goes_on = False

    # The publisher's side.
    def execute(self, found: Sequence[JobHint]) -> bool:
        self.jobs.extend(found)
        return True

    def route(self) -> bool:
        self.wants_routing = True
        return True

    def prune(self, number: int) -> bool:
        self.prunings.append(number)
        return True

    def waiting(self, queue: str) -> int:
        return len(self.jobs)

    # The test's side.
    def send(self, name: str, data: dict[str, Any] | None = None, **fields: Any) -> str:
        [event_id] = self.client.send_sync(IncomingEvent(name=name, data=data or {}, **fields))
        return event_id

    def lose_hints(self) -> None:
        self.jobs.clear()
        self.wants_routing = False

    def step(self) -> bool:
        """Do one thing that a hint asks for; False when none is left."""
        if self.wants_routing:
            self.wants_routing = False
            routing.route()
            return True
        if not self.jobs:
            return False
        hint = self.jobs.pop(0)
        if hint.delay <= 0 or self._is_due(hint.job_id):
            executor.execute(hint.job_id, goes_on=self.goes_on)
        return True

    def idle(self) -> None:
        """Work until no hint is left."""
        for _ in range(_MOST):
            if not self.step():
                return
        raise AssertionError(f"still busy after {_MOST} hints: {self.jobs[:5]}")

    def advance(self, duration: dt.timedelta) -> None:
        """Move the clock, tick, and work until idle."""
        clock.move(transactions.now() + duration)
        self.tick()

    def tick(self) -> None:
        recovery.tick()
        self.idle()

    def run_of(self, event_id: str, function_id: str | None = None) -> Run:
        runs = Run.objects.filter(event_id=event_id)
        if function_id is not None:
            runs = runs.filter(function_id=function_id)
        return runs.get()

    def start(self, name: str, data: dict[str, Any] | None = None, **fields: Any) -> Run:
        """Send an event, work until idle, and return the one run that it started."""
        event_id = self.send(name, data, **fields)
        self.idle()
        return self.run_of(event_id)

    @staticmethod
    def _is_due(job_id: int) -> bool:
        return Job.objects.filter(pk=job_id, available_at__lte=transactions.now()).exists()


def steps_of(run: Run) -> dict[str, Step]:
    return {str(step): step for step in Step.objects.filter(run=run)}


def assert_sound(run: Run) -> None:
    """Check the central invariant: a live run has exactly one job for each open piece."""
    run.refresh_from_db()
    jobs = list(Job.objects.filter(run=run))
    open_steps = {s.pk for s in Step.objects.filter(run=run) if s.is_open}
    if not run.is_live:
        assert jobs == []
        assert open_steps == set()
        return
    assert jobs, f"stuck: {run.status}"
    assert {job.step_id for job in jobs if job.step_id} == open_steps
    assert sum(job.kind == "enter" for job in jobs) <= 1


def routed(event_id: str) -> bool:
    return Event.objects.get(pk=event_id).routed_at is not None
