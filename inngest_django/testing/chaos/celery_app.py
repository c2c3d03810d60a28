"""The project's Celery app, changed so that it meets nobody else's messages.

None in a process that no session started.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from celery.app.utils import find_app
from django.conf import settings

from inngest_django.dispatch import tasks
from inngest_django.testing.chaos import handover

_OURS = "inngest_django.testing.chaos.settings"


def _end_with_parent(pid: int) -> None:
    # A worker that outlives a killed command would go on with functions that nobody checks.
    pause = threading.Event()
    while os.getppid() == pid:
        pause.wait(2)
    os._exit(1)


def _prepare() -> Any:
    given = handover.received()
    found = find_app(given.app)
    if settings.SETTINGS_MODULE != _OURS:
        raise RuntimeError(
            f"{given.app} sets DJANGO_SETTINGS_MODULE to {settings.SETTINGS_MODULE!r} itself."
            ' Let it use os.environ.setdefault("DJANGO_SETTINGS_MODULE", ...), as Celery\'s'
            " guide does, so that another value can be given."
        )
    options = {**(found.conf.broker_transport_options or {})}
    if given.key_prefix:
        options["global_keyprefix"] = given.key_prefix
    found.conf.update(
        broker_transport_options=options,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_always_eager=False,
        task_create_missing_queues=True,
        worker_enable_remote_control=False,
        # In memory: the project's own periodic tasks must not run twice.
        beat_scheduler="celery.beat:Scheduler",
        beat_schedule={
            "tick": {
                "task": tasks.TICK,
                "schedule": 1.0,
                "options": {"queue": given.queues[1], "expires": 10},
            }
        },
    )
    if os.getppid() == given.parent:
        threading.Thread(target=_end_with_parent, args=(given.parent,), daemon=True).start()
    return found


app = _prepare() if handover.is_there() else None
