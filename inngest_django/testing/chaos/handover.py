"""What the command tells the processes that it starts, in their environment."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, cast

from inngest_django.serialization import dumps, loads

VARIABLE = "INNGEST_CHAOS"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Handover:
    """How a process reaches the stack through the proxies.

    Attributes:
        settings: The project's settings module.
        app: Where the project's Celery app is, as ``celery -A`` takes it.
        database: What changes in ``DATABASES`` for the engine's alias.
        broker_url: Of the proxy.
        key_prefix: Of all Redis keys.
        queues: Names of the queue and the control queue, which nobody else reads.
        lease: ``LEASE_TTL`` in seconds.
        folder: Where the ledger is, and flags that switch faults on.
        parent: Pid of the command, without which they end.
        rate: Sets of events that the sender sends in a second.
    """

    settings: str
    app: str
    alias: str
    database: dict[str, Any]
    broker_url: str
    key_prefix: str
    queues: tuple[str, str]
    lease: float
    folder: str
    parent: int
    rate: float

    def environment(self) -> dict[str, str]:
        """Return the variables of a process that is started with this."""
        return {
            VARIABLE: dumps(dataclasses.asdict(self)),
            "DJANGO_SETTINGS_MODULE": "inngest_django.testing.chaos.settings",
            # Celery lets these win over every setting.
            "CELERY_BROKER_URL": self.broker_url,
            "CELERY_BROKER_READ_URL": self.broker_url,
            "CELERY_BROKER_WRITE_URL": self.broker_url,
            "PYTHONUNBUFFERED": "1",
        }

    @property
    def ledger(self) -> str:
        """The ledger's file."""
        return ledger(self.folder)


def is_there() -> bool:
    """Return whether this process was started by a session."""
    return VARIABLE in os.environ


def received() -> Handover:
    """Return what this process was given."""
    value: dict[str, Any] = cast("dict[str, Any]", loads(os.environ[VARIABLE]))
    value["queues"] = tuple(value["queues"])
    return Handover(**value)


def ledger(folder: str) -> str:
    """Return the ledger's file."""
    return f"{folder}/ledger"


def flag(folder: str, name: str) -> str:
    """Return the file whose presence switches a fault inside workers on."""
    return f"{folder}/{name}"
