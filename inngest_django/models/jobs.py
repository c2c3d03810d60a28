"""Jobs: one row for each piece of work that is due at a time."""

from __future__ import annotations

from django.db import models

from inngest_django.models.base import InngestManager, count_field, status_field
from inngest_django.models.fields import MomentField
from inngest_django.models.runs import Run
from inngest_django.models.steps import Step
from inngest_django.states import JobKind


class Job(models.Model):
    """One piece of work. Every outstanding piece of a live run has exactly one."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="jobs")
    step = models.OneToOneField(Step, null=True, on_delete=models.CASCADE, related_name="job")
    kind = status_field(JobKind)
    function_id = models.TextField()
    available_at = MomentField()
    attempt = count_field(default=0, help_text="Of its next try, from 0.")
    # The claim: whoever holds the token may write the outcome, nobody else.
    lease_token = models.BigIntegerField(null=True)
    leased_until = MomentField(null=True)
    lease_owner = models.TextField(default="")
    # Its holder was told to stop, so that a loss is a deploy and charges no attempt.
    is_draining = models.BooleanField(default=False)
    # Leases that ended without an outcome, charged and free.
    loss_count = count_field(default=0)
    free_loss_count = count_field(default=0)
    # When the tick publishes it, again or for the first time.
    next_hint_at = MomentField()
    hint_count = count_field(default=0)
    # Why nobody works on it although it is due, for people.
    note = models.TextField(default="")

    objects = InngestManager["Job"]()

    class Meta:
        db_table = "inngest_job"
        constraints = [
            # The join: whoever comes second finds the entry already there.
            models.UniqueConstraint(
                fields=["run"],
                name="inngest_job_one_enter",
                condition=models.Q(kind=JobKind.ENTER.value),
            )
        ]
        indexes = [
            # The tick: what is due for a hint, oldest first.
            models.Index(fields=["next_hint_at"], name="inngest_job_hint"),
            # No column that a lease writes: the row then stays in its page, and no index of
            # the table learns of it.
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"
