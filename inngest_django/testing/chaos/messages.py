"""Taking away what a session left in the broker: its own queues and keys, nothing else."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

from kombu.connection import Connection

from inngest_django.testing.chaos.endpoints import Broker
from inngest_django.testing.chaos.handover import Handover

logger = logging.getLogger(__name__)


def clean(broker: Broker, given: Handover) -> None:
    """Delete them, straight at the broker; a failure is only logged."""
    try:
        if broker.transport == "redis":
            _clean_redis(broker, given.key_prefix)
        else:
            _clean_rabbitmq(broker, given.queues)
    except Exception as error:  # noqa: BLE001 - it must not hide what was found
        logger.warning("Queues %s were not deleted: %s", ", ".join(given.queues), error)


def _clean_redis(broker: Broker, prefix: str) -> None:
    import redis

    # Not kombu's client, which adds the prefix to some commands and not to others.
    with contextlib.closing(redis.Redis.from_url(broker.url)) as client:
        for key in client.scan_iter(match=f"{prefix}*", count=1000):
            client.delete(key)


def _clean_rabbitmq(broker: Broker, queues: tuple[str, ...]) -> None:
    connection: Any = Connection(broker.url, connect_timeout=5)  # type: ignore[no-untyped-call]
    with connection:
        for queue in queues:
            # One that was never declared closes its channel.
            with contextlib.suppress(*connection.channel_errors), connection.channel() as channel:
                channel.queue_delete(queue)
            with contextlib.suppress(*connection.channel_errors), connection.channel() as channel:
                channel.exchange_delete(queue)
