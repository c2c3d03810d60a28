"""Schedules: one row for each cron trigger of a function, with its next time."""

from __future__ import annotations

from django.db import models

from inngest_django.models.base import InngestManager
from inngest_django.models.fields import MomentField


class Schedule(models.Model):
    """A ``TriggerCron`` that living processes declare, and when it starts its function next."""

    id = models.BigAutoField(primary_key=True)
    function_id = models.TextField()
    cron = models.TextField(help_text="As the function declares it, with its zone.")
    jitter = models.TextField(default="", blank=True)
    next_at = MomentField(help_text="The next time that the schedule names.")
    # The tick: the same, and what jitter adds.
    fires_at = MomentField()
    last_at = MomentField(null=True, blank=True, help_text="The last time that was released.")
    # As of functions: whose processes are gone starts nothing that nobody could run.
    registered_at = MomentField()

    objects = InngestManager["Schedule"]()

    class Meta:
        db_table = "inngest_schedule"
        constraints = [
            models.UniqueConstraint(
                fields=["function_id", "cron"], name="inngest_schedule_of_function"
            )
        ]
        indexes = [models.Index(fields=["fires_at"], name="inngest_schedule_due")]

    def __str__(self) -> str:
        return f"{self.function_id} {self.cron}"
