"""How a worker's main process holds the messages that it has received."""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request as CeleryRequest
from kombu.transport.virtual import QoS


class Request(CeleryRequest):  # type: ignore[misc]
    """Gives its place among the prefetched messages back, whether the broker heard of it or not.

    On Redis the places are counted in this process. Where acknowledging fails, Celery logs it
    and keeps the place. Once all are taken so, as under load they soon are when Redis is away
    for a moment, the worker stops reading: it never sees that its connection broke, makes no
    other, and consumes nothing for as long as it lives.

    The message itself may be delivered again later. It is only a hint.
    """

    def acknowledge(self) -> None:
        """Acknowledge, and forget the message in any case."""
        super().acknowledge()
        give_back(self.message)


def give_back(message: Any) -> None:
    """Free the place of a message that could not be acknowledged."""
    qos = getattr(message.channel, "_qos", None)
    # RabbitMQ counts by itself, and starts anew with each connection.
    if isinstance(qos, QoS) and not message.acknowledged:
        # The base class's: only the count, not a word to the broker.
        QoS.ack(qos, message.delivery_tag)  # type: ignore[no-untyped-call]
