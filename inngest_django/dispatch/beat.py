"""The rows of django-celery-beat: one for the tick, one for pruning.

Created once, then the operator's: nothing here changes an existing row.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

from django.apps import apps
from django.db import connections, router

from inngest_django import conf
from inngest_django.dispatch import tasks

logger = logging.getLogger(__name__)

TICK_NAME = "inngest: tick"
PRUNE_NAME = "inngest: prune"
PRUNE_EVERY = dt.timedelta(hours=1)
# How long a message may wait before it is dropped: a worker that comes back must not find
# thousands. Not tighter, because beat's and the worker's clocks decide it together.
_SHORTEST_EXPIRY = dt.timedelta(seconds=10)


def ensure_periodic_tasks(*, using: str, **_: Any) -> None:
    """Create the rows that beat needs, where they are missing; a ``post_migrate`` receiver.

    They go where beat's own tables are, by the project's routers: its scheduler names no
    database, and the engine's may be another one. A row that an operator changed or disabled
    stays as it is. When one no longer fits the settings, the log says so.
    """
    if not apps.is_installed("django_celery_beat"):
        return
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    if using != router.db_for_write(PeriodicTask):
        return
    connection = connections[using]
    with connection.cursor() as cursor:
        existing = set(connection.introspection.table_names(cursor))
    # Django documents ``_meta``.
    if not {m._meta.db_table for m in (IntervalSchedule, PeriodicTask)} <= existing:
        return
    settings = conf.get()
    _ensure(
        TICK_NAME,
        tasks.TICK,
        every=settings.TICK,
        expiry=max(settings.TICK * 2, _SHORTEST_EXPIRY),
        using=using,
        description="Releases due sleeps, time-outs and retries, and repairs what was lost.",
    )
    _ensure(
        PRUNE_NAME,
        tasks.PRUNE,
        every=PRUNE_EVERY,
        expiry=PRUNE_EVERY / 2,
        using=using,
        description="Deletes ended runs and events that are older than the retention.",
    )


def _ensure(
    name: str, task: str, *, every: dt.timedelta, expiry: dt.timedelta, using: str, description: str
) -> None:
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    queue = conf.get().CONTROL_QUEUE
    count, period = _as_interval(every)
    row = PeriodicTask.objects.using(using).select_related("interval").filter(name=name).first()
    if row is None:
        # Nothing makes intervals unique, so that get_or_create could find two.
        schedules = IntervalSchedule.objects.using(using)
        schedule = schedules.filter(every=count, period=period).first()
        PeriodicTask.objects.using(using).get_or_create(
            name=name,
            defaults={
                "task": task,
                "interval": schedule or schedules.create(every=count, period=period),
                "queue": queue,
                "expire_seconds": int(expiry.total_seconds()),
                "description": description,
            },
        )
    elif row.queue != queue:
        logger.warning(
            'Periodic task "%s" sends to queue %r, but INNGEST["CONTROL_QUEUE"] is %r. Change'
            " its queue in the admin, or delete it and run migrate.",
            name,
            row.queue,
            queue,
        )


def _as_interval(every: dt.timedelta) -> tuple[int, str]:
    from django_celery_beat.models import IntervalSchedule

    seconds, rest = divmod(every, dt.timedelta(seconds=1))
    if not rest:
        return seconds, IntervalSchedule.SECONDS
    return every // dt.timedelta(microseconds=1), IntervalSchedule.MICROSECONDS
