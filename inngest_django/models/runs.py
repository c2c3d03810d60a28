"""Runs."""

from __future__ import annotations

from django.db import models

from inngest_django.models.base import InngestManager, count_field, status_field
from inngest_django.models.events import Event
from inngest_django.models.fields import JSONTextField, MomentField
from inngest_django.states import RUN_LIVE, RunStatus


class Run(models.Model):
    """One execution of a function."""

    id = models.CharField(primary_key=True, max_length=26, editable=False)
    function_id = models.TextField()
    function_version = count_field(default=1)
    status = status_field(RunStatus, default=RunStatus.QUEUED.value)
    reason = models.TextField(default="", help_text="Why it ended or stands as it does.")
    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="runs")
    # Ids of all its events, in order, when there are several; NULL means the one above.
    event_ids = JSONTextField(null=True)
    output = JSONTextField(null=True)
    error = JSONTextField(null=True)
    queued_at = MomentField()
    started_at = MomentField(null=True)
    ended_at = MomentField(null=True)
    # Most runs have neither: their indexes, below, leave those out.
    parent = models.ForeignKey(
        "Step", null=True, on_delete=models.SET_NULL, related_name="children", db_index=False
    )
    original_run = models.ForeignKey(
        "self", null=True, on_delete=models.SET_NULL, related_name="reruns", db_index=False
    )
    # Raised whenever a step is settled; an entry that reports under an older one is stale.
    revision = count_field(default=0)
    # Largest committed event seq when the latest result was recorded: where new waits begin.
    floor_seq = models.BigIntegerField(default=0)
    # Its cancel rules were not yet compared with events that came before they were stored.
    has_unscanned_rules = models.BooleanField(default=False)

    objects = InngestManager["Run"]()

    class Meta:
        db_table = "inngest_run"
        permissions = [
            ("cancel_run", "Can cancel runs"),
            ("rerun_run", "Can rerun runs"),
            ("replay_runs", "Can replay many runs"),
        ]
        indexes = [
            # Lists of one function or one status, newest first (a ULID sorts by time).
            models.Index(fields=["function_id", "-id"], name="inngest_run_function"),
            models.Index(fields=["status", "-id"], name="inngest_run_status"),
            models.Index(
                fields=["parent"],
                name="inngest_run_parent",
                condition=models.Q(parent__isnull=False),
            ),
            models.Index(
                fields=["original_run"],
                name="inngest_run_original",
                condition=models.Q(original_run__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.function_id} {self.id}"

    @property
    def is_live(self) -> bool:
        """Whether it has not ended."""
        return self.status in RUN_LIVE

    @property
    def events(self) -> list[Event]:
        """All its events, in order; ``event`` is the first."""
        if not self.event_ids:
            return [self.event]
        found = Event.objects.in_bulk(self.event_ids)
        return [found[event_id] for event_id in self.event_ids if event_id in found]
