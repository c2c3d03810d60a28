"""Stands in for Celery's gevent pool, which is known by its module's name.

What real greenlets do is not needed here: a worker on them ends before it does anything.
"""

from __future__ import annotations

from celery.concurrency import solo


class TaskPool(solo.TaskPool):  # type: ignore[misc]  # celery ships no types
    """One task after the other, in the main process."""
