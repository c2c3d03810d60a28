"""Step records and their failed attempts."""

from __future__ import annotations

from django.db import models

from inngest_django.drivers.base import SINGLE_MODE
from inngest_django.models.base import InngestManager, count_field, status_field
from inngest_django.models.fields import JSONTextField, MomentField
from inngest_django.models.runs import Run
from inngest_django.states import STEP_OPEN, STEP_SETTLED, OpKind, StepStatus


class Step(models.Model):
    """One named step of a run. Whether it is done is its ``status``, never its ``output``."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps", db_index=False)
    hashed_id = models.CharField(max_length=40)
    name = models.TextField(help_text="The id as the author wrote it.")
    index = count_field(default=0, help_text="0 for the first use of the id.")
    op = models.CharField(
        max_length=16,
        choices=[(op.value, op.value) for op in OpKind],
        default=OpKind.STEP_RUN.value,
    )
    status = status_field(StepStatus)
    mode = models.CharField(max_length=8, default=SINGLE_MODE, help_text="Of its parallel group.")
    input = JSONTextField(null=True)
    output = JSONTextField(null=True)
    error = JSONTextField(null=True)
    attempt_count = count_field(default=0, help_text="Tries begun.")
    # The run's revision that settling this step made; NULL until then.
    revision = count_field(null=True)
    started_at = MomentField(null=True)
    ended_at = MomentField(null=True)

    objects = InngestManager["Step"]()

    class Meta:
        db_table = "inngest_step"
        permissions = [("edit_step", "Can edit stored results into a new run")]
        constraints = [
            # Also serves the load: all steps of a run.
            models.UniqueConstraint(fields=["run", "hashed_id"], name="inngest_step_once")
        ]
        indexes = [
            # The load: what was settled after a revision, and what is open.
            models.Index(fields=["run", "revision"], name="inngest_step_revision"),
            # The join: whether a race goes on in a run.
            models.Index(fields=["run"], name="inngest_step_race", condition=models.Q(mode="race")),
        ]

    def __str__(self) -> str:
        return f"{self.name}:{self.index}" if self.index else self.name

    @property
    def is_settled(self) -> bool:
        """Whether its result is recorded."""
        return self.status in STEP_SETTLED

    @property
    def is_open(self) -> bool:
        """Whether something is still to happen to it."""
        return self.status in STEP_OPEN


class Attempt(models.Model):
    """A failed try of a step's body, or of the function's own code when ``step`` is NULL."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="attempts")
    step = models.ForeignKey(Step, null=True, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField(help_text="Counted from 0.")
    error = JSONTextField()
    started_at = MomentField(null=True)
    ended_at = MomentField()

    objects = InngestManager["Attempt"]()

    class Meta:
        db_table = "inngest_attempt"

    def __str__(self) -> str:
        return f"attempt {self.number}"
