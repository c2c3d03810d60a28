"""The tables. Rows hold no rule; ``engine`` is their only writer."""

from __future__ import annotations

from inngest_django.models.events import Counter, Event, IdempotencyKey, Pulse
from inngest_django.models.functions import Function
from inngest_django.models.jobs import Job
from inngest_django.models.runs import Run
from inngest_django.models.schedules import Schedule
from inngest_django.models.steps import Attempt, Step
from inngest_django.models.waits import Wait, WaitKey, WaitKind, WaitShape, WaitStatus

__all__ = [
    "Attempt",
    "Counter",
    "Event",
    "Function",
    "IdempotencyKey",
    "Job",
    "Pulse",
    "Run",
    "Schedule",
    "Step",
    "Wait",
    "WaitKey",
    "WaitKind",
    "WaitShape",
    "WaitStatus",
]
