"""Accepted events, and the counter that gives them their order."""

from __future__ import annotations

from typing import Any

from django.db import models

from inngest_django.models.base import InngestManager
from inngest_django.models.fields import JSONTextField, MomentField


class Event(models.Model):
    """An accepted event. ``data`` and ``user`` are the decoded JSON."""

    id = models.CharField(primary_key=True, max_length=26, editable=False)
    # The sender's idempotency id. Not unique: a repeated event is kept, resumes waits and
    # cancels runs; only starting a function twice is prevented.
    external_id = models.TextField(null=True)
    name = models.CharField(max_length=512)
    data = JSONTextField()
    user = JSONTextField(null=True)
    ts = models.BigIntegerField(help_text="Milliseconds since 1970, as the sender gave it.")
    version = models.TextField(null=True)
    received_at = MomentField()
    routed_at = MomentField(null=True)
    # Order of commit. NULL until stamped, in a transaction of its own after the insert.
    seq = models.BigIntegerField(null=True)

    objects = InngestManager["Event"]()

    class Meta:
        db_table = "inngest_event"
        permissions = [("send_event", "Can send events")]
        indexes = [
            # Stamping: committed events without a place in the order.
            models.Index(
                fields=["received_at", "id"],
                name="inngest_event_unstamped",
                condition=models.Q(seq__isnull=True, routed_at__isnull=True),
            ),
            # Routing: the oldest stamped events that started nothing yet.
            models.Index(
                fields=["seq"],
                name="inngest_event_unrouted",
                condition=models.Q(seq__isnull=False, routed_at__isnull=True),
            ),
            # A new wait looks for events of its name above its floor.
            models.Index(fields=["name", "seq"], name="inngest_event_scan"),
            models.Index(
                fields=["external_id"],
                name="inngest_event_external",
                condition=models.Q(external_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.id}"

    def payload(self) -> dict[str, Any]:
        """Return the event as functions and expressions see it."""
        return payload_of(
            id_=self.external_id or self.id,
            name=self.name,
            data=self.data,
            user=self.user,
            ts=self.ts,
            version=self.version,
        )


def payload_of(
    *, id_: str, name: str, data: Any, user: Any, ts: int, version: str | None
) -> dict[str, Any]:
    """Return an event as functions and expressions see it."""
    payload = {"id": id_, "name": name, "data": data or {}, "ts": ts, "user": user or {}}
    if version:
        payload["v"] = version
    return payload


class Counter(models.Model):
    """One row (id 1): the last ``seq`` given, and when the last tick ran.

    Its row lock makes stamping one at a time, and its committed value is the floor of new
    waits: both follow from the value changing in the transaction that stamps.
    """

    id = models.PositiveSmallIntegerField(primary_key=True)
    last_seq = models.BigIntegerField(default=0)

    objects = InngestManager["Counter"]()

    class Meta:
        db_table = "inngest_counter"

    def __str__(self) -> str:
        return str(self.last_seq)


class Pulse(models.Model):
    """One row (id 1): when a tick last ran, NULL until the first, and which pruning is the last."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    ticked_at = MomentField(null=True)
    ticked_by = models.TextField(default="")
    # The default is the database's too: code from before this column inserts the row without.
    prunings = models.BigIntegerField(default=0, db_default=0)

    objects = InngestManager["Pulse"]()

    class Meta:
        db_table = "inngest_pulse"

    def __str__(self) -> str:
        return str(self.ticked_at)


class IdempotencyKey(models.Model):
    """A start that must not happen twice before ``expires_at``."""

    function_id = models.TextField()
    key = models.TextField()
    run_id = models.CharField(max_length=26)
    expires_at = MomentField()

    objects = InngestManager["IdempotencyKey"]()

    class Meta:
        db_table = "inngest_idempotency_key"
        constraints = [
            models.UniqueConstraint(fields=["function_id", "key"], name="inngest_idempotency_once")
        ]
        indexes = [models.Index(fields=["expires_at"], name="inngest_idempotency_expiry")]

    def __str__(self) -> str:
        return f"{self.function_id} {self.key}"
