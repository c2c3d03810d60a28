"""The project's settings, with its database and broker behind the proxies.

Empty in a process that no session started.
"""

from __future__ import annotations

import importlib
from typing import Any

from inngest_django.testing.chaos import handover
from inngest_django.testing.chaos.handover import Handover


def _changed(given: Handover) -> dict[str, Any]:
    project = importlib.import_module(given.settings)
    found = {name: getattr(project, name) for name in dir(project) if name.isupper()}
    engines = found["DATABASES"][given.alias]
    options = {**engines.get("OPTIONS", {}), **given.database.get("OPTIONS", {})}
    app = "inngest_django.testing.chaos.apps.ChaosConfig"
    return {
        **found,
        "DATABASES": {
            **found["DATABASES"],
            given.alias: {**engines, **given.database, "OPTIONS": options},
        },
        "INSTALLED_APPS": [*found["INSTALLED_APPS"], app],
        # Functions that the project serves there are to rest.
        "ROOT_URLCONF": "",
        "INNGEST": {
            **found.get("INNGEST", {}),
            "QUEUE": given.queues[0],
            "CONTROL_QUEUE": given.queues[1],
            "QUEUES": {},
            "LEASE_TTL": f"{given.lease:g}s",
            "TICK": "1s",
            "WORKER_TICK": True,
            "RETRY_BACKOFF": ["200ms"],
            "RETRY_JITTER": "0s",
            "RETENTION": None,
        },
    }


if handover.is_there():
    globals().update(_changed(handover.received()))
