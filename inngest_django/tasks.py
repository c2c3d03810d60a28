"""Where Celery's autodiscovery looks for tasks."""

from __future__ import annotations

from inngest_django.dispatch import worker as _worker  # connects the worker's signals
from inngest_django.dispatch.tasks import execute, prune, route, tick

__all__ = ["execute", "prune", "route", "tick"]

del _worker
