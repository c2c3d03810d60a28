"""What a worker's main process holds in reserve on Redis.

kombu keeps a list of unacknowledged messages in Redis: two exchanges for each message, more
than half of what a main process does for it. A message of this app needs none: what a killed
worker held is published again by the tick, within seconds instead of an hour. The messages of
your own tasks are listed as ever.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from kombu.transport import virtual

from inngest_django.dispatch import tasks

logger = logging.getLogger(__name__)


def leave_out_hints(app: Any) -> None:
    """Have this process keep no list of this app's messages, where the broker is Redis."""
    try:
        channel = app.connection_for_read().get_transport_cls().Channel
    except Exception:  # noqa: BLE001 - a broker that cannot be used is Celery's to tell
        return
    redis = sys.modules.get("kombu.transport.redis")
    kept = getattr(channel, "QoS", None)
    if redis is None or kept is None or not issubclass(kept, redis.QoS):
        return
    if not issubclass(kept, _WithoutHints):
        channel.QoS = type("QoS", (_WithoutHints, kept), {})


def _is_hint(message: Any) -> bool:
    return (message.headers or {}).get("task") in tasks.NAMES


# kombu has few types.
_QoS: Any = virtual.QoS
_Channel: Any = virtual.Channel


class _WithoutHints(_QoS):  # type: ignore[misc]
    """Counts this app's messages among those held, and tells Redis nothing of them.

    Mixed into kombu's class for Redis, which keeps the list of all others.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._hints: set[str] = set()

    def append(self, message: Any, delivery_tag: str) -> None:
        """Hold a message."""
        if _is_hint(message):
            self._hints.add(delivery_tag)
            _QoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Let a message go."""
        if delivery_tag in self._hints:
            self._hints.discard(delivery_tag)
            _QoS.ack(self, delivery_tag)
        else:
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Let a message go, back to the queue if asked to."""
        if delivery_tag not in self._hints:
            super().reject(delivery_tag, requeue=requeue)
            return
        if requeue:
            self._give_back(self._delivered[delivery_tag])
        self._hints.discard(delivery_tag)
        _QoS.ack(self, delivery_tag)

    def restore_unacked(self, client: Any = None) -> Any:
        """Give everything back when the worker ends."""
        for delivery_tag in self._hints & set(self._delivered):
            try:
                self._give_back(self._delivered.pop(delivery_tag))
            except Exception:  # noqa: BLE001 - the tick publishes it again
                logger.info("a message cannot be given back")
        self._hints.clear()
        return super().restore_unacked(client)

    def _give_back(self, message: Any) -> None:
        # The way of transports without such a list.
        _Channel._restore(self.channel, message)  # noqa: SLF001
