"""What was last registered, and what operators switched."""

from __future__ import annotations

from django.db import models

from inngest_django.models.base import InngestManager
from inngest_django.models.fields import JSONTextField, MomentField


class Function(models.Model):
    """A registered function; ``id`` is ``<app>-<fn>``."""

    id = models.TextField(primary_key=True)
    name = models.TextField()
    config = JSONTextField(help_text="Triggers and options, with the wire names.")
    # Raised when a registration brings a configuration that this row never had.
    version = models.PositiveIntegerField(default=1)
    # Checksums seen, newest last: old and new processes of a deploy register in turn.
    checksums = JSONTextField(default=list)
    registered_at = MomentField()
    paused_at = MomentField(null=True, blank=True)

    objects = InngestManager["Function"]()

    class Meta:
        db_table = "inngest_function"
        permissions = [("pause_function", "Can pause and resume functions")]

    def __str__(self) -> str:
        return self.id
