"""A Celery app whose ``inngest.execute`` notes where it ran instead of doing a job.

Started as ``celery -A tests.dispatch.probe worker``; everything around the body is real.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

from celery import Celery, signals

from tests import ledger

HANGS = 900_000_000  # Job ids from here on do not return.

app = Celery("probe")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.worker_init.connect
def put_probe_in_place(**_: Any) -> None:
    if "PROBE_KEY" not in os.environ:
        # Imported into the tests' own process, whose in-process worker is somebody else's.
        return
    from inngest_django.engine import executor, recovery

    tick = recovery.tick

    def noted_tick() -> Any:
        ledger.note(_key(), "tick", threading.current_thread().name)
        return tick()

    executor.execute = look
    recovery.tick = noted_tick


@app.task(name="probe.foreign", ignore_result=True)
def foreign(job_id: int) -> None:
    look(job_id)


def look(job_id: int, **how: bool) -> None:
    """Note the database session and whether this process knows that it drains."""
    from django.db import connection

    from inngest_django.engine import leases

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_backend_pid()")
        else:
            cursor.execute("SELECT 0")
        [session] = cursor.fetchone()
    ledger.note(_key(), f"job {job_id}", session)
    while job_id >= HANGS:
        time.sleep(0.02)
        if leases.is_draining():
            ledger.note(_key(), f"job {job_id} drains")
            return


def _key() -> str:
    return os.environ["PROBE_KEY"]
