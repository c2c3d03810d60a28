"""Wait subscriptions and the keys by which events find them."""

from __future__ import annotations

import enum

from django.db import models

from inngest_django.models.base import InngestManager, status_field
from inngest_django.models.events import Event
from inngest_django.models.fields import JSONTextField, MomentField
from inngest_django.models.runs import Run
from inngest_django.models.steps import Step


class WaitKind(enum.StrEnum):
    """What a matching event does."""

    EVENT = "event"  # Resumes the step.
    CANCEL = "cancel"  # Cancels the run.


class WaitStatus(enum.StrEnum):
    """How a wait stands."""

    OPEN = "open"
    MATCHED = "matched"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


class Wait(models.Model):
    """A subscription of a step, or of a run's cancel rule, to events of one name."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="waits")
    step = models.ForeignKey(Step, null=True, on_delete=models.CASCADE, related_name="waits")
    kind = status_field(WaitKind, default=WaitKind.EVENT.value)
    status = status_field(WaitStatus, default=WaitStatus.OPEN.value)
    event_name = models.CharField(max_length=512)
    expression = models.TextField(default="")
    # The parts of the run's own event that the expression reads.
    constants = JSONTextField(default=dict)
    # Only events with a larger seq count, whichever side looks first.
    floor_seq = models.BigIntegerField()
    expires_at = MomentField()
    created_at = MomentField()
    closed_at = MomentField(null=True)
    matched_event = models.ForeignKey(
        Event, null=True, on_delete=models.SET_NULL, related_name="matched_waits"
    )

    objects = InngestManager["Wait"]()

    class Meta:
        db_table = "inngest_wait"
        indexes = [
            # Whether anybody waits for an internal event at all.
            models.Index(
                fields=["event_name"],
                name="inngest_wait_open_name",
                condition=models.Q(status="open"),
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.event_name}"


class WaitKey(models.Model):
    """One way in which an event finds an open wait; deleted when the wait closes."""

    id = models.BigAutoField(primary_key=True)
    # Hash of event name, shape and constants.
    key = models.BigIntegerField()
    wait = models.ForeignKey(Wait, on_delete=models.CASCADE, related_name="keys")

    objects = InngestManager["WaitKey"]()

    class Meta:
        db_table = "inngest_wait_key"
        indexes = [models.Index(fields=["key", "wait"], name="inngest_wait_key_lookup")]

    def __str__(self) -> str:
        return str(self.key)


class WaitShape(models.Model):
    """One form of condition that open waits for an event name have."""

    id = models.BigAutoField(primary_key=True)
    event_name = models.CharField(max_length=512)
    spec = models.TextField()

    objects = InngestManager["WaitShape"]()

    class Meta:
        db_table = "inngest_wait_shape"
        constraints = [
            models.UniqueConstraint(fields=["event_name", "spec"], name="inngest_wait_shape_once")
        ]

    def __str__(self) -> str:
        return f"{self.event_name} {self.spec}"
