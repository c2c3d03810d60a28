"""What every table shares: one database alias and guarded transitions."""

from __future__ import annotations

import enum
from typing import Any, TypeVar

from django.db import models

from inngest_django import conf

M = TypeVar("M", bound=models.Model)


def alias() -> str:
    """Return the database alias of all tables, ``INNGEST["DATABASE"]``."""
    return conf.get().DATABASE


class InngestManager(models.Manager[M]):
    """Names the engine's alias in every query."""

    def get_queryset(self) -> models.QuerySet[M]:
        """Return rows of the engine's database."""
        return super().get_queryset().using(alias())


def status_field(statuses: type[enum.StrEnum], **options: Any) -> models.CharField[Any, Any]:
    """Return a short text column that holds one of the statuses."""
    choices = [(status.value, status.value.replace("_", " ")) for status in statuses]
    return models.CharField(max_length=16, choices=choices, **options)


def count_field(**options: Any) -> models.IntegerField[Any, Any]:
    """Return a column that counts from 0.

    Without the check of Django's positive integers: PostgreSQL compiles it anew for every
    statement that writes the row, which several do for each step.
    """
    return models.IntegerField(**options)
