"""A transport inside one process, for development and tests: ``inngest-memory://``.

Kombu's own memory transport looks for messages once a second. This one wakes its consumer
when a message is put, and when one is acknowledged, because a full prefetch window opens then.
"""

from __future__ import annotations

import threading
import time
from queue import Empty, Queue
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, memory, virtual

SCHEME = "inngest-memory"
URL = f"{SCHEME}://localhost//"

# A consumer that asks for longer is told early that nothing came; it asks again, and sees in
# time that it is to stop.
_LONGEST_WAIT = 0.25


class _Bell:
    """Wakes whoever waits. A ring between looking and waiting is not missed."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rings = 0

    def ring(self) -> None:
        with self._condition:
            self._rings += 1
            self._condition.notify_all()

    def heard(self) -> int:
        return self._rings

    def wait(self, heard: int, timeout: float) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._rings != heard, timeout)


_bell = _Bell()


class Channel(memory.Channel):
    """A channel whose queues are shared by all channels of the process."""

    # Not the ones of kombu's transport: somebody may use that for something else.
    queues: dict[str, Queue[Any]] = {}

    def _queue_for(self, queue: str) -> Queue[Any]:
        # In one step: two threads that declare a queue must get the same.
        return self.queues.setdefault(queue, Queue())

    def _new_queue(self, queue: str, **_: Any) -> None:
        self._queue_for(queue)

    def _put(self, queue: str, message: Any, **_: Any) -> None:
        self._queue_for(queue).put(message)
        _bell.ring()

    def basic_ack(self, delivery_tag: Any, multiple: bool = False) -> None:
        """Acknowledge; the prefetch window may have opened."""
        super().basic_ack(delivery_tag, multiple)  # type: ignore[no-untyped-call]
        _bell.ring()

    def basic_reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        """Reject; the prefetch window may have opened."""
        super().basic_reject(delivery_tag, requeue)  # type: ignore[no-untyped-call]
        _bell.ring()

    def basic_qos(self, *args: Any, **kwargs: Any) -> None:
        """Change the prefetch window."""
        super().basic_qos(*args, **kwargs)  # type: ignore[no-untyped-call]
        _bell.ring()


class Transport(memory.Transport):
    """The transport; register it with ``register``."""

    Channel = Channel
    global_state = virtual.BrokerState()  # type: ignore[no-untyped-call]
    driver_type = "memory"
    driver_name = SCHEME

    def drain_events(  # type: ignore[override]  # kombu's own two signatures differ
        self,
        connection: Any,  # noqa: ARG002
        timeout: float | None = None,
    ) -> None:
        """Deliver one message; ``TimeoutError`` when none comes in time."""
        cycle: Any = self.cycle
        deadline = None if timeout is None else time.monotonic() + min(timeout, _LONGEST_WAIT)
        while True:
            heard = _bell.heard()
            try:
                cycle.get(self._deliver, timeout=timeout)
            except Empty:
                left = _LONGEST_WAIT if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError from None
                _bell.wait(heard, left)
            else:
                return


def register() -> None:
    """Make the scheme known to kombu."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


def purge() -> None:
    """Drop every message."""
    Channel.queues.clear()
