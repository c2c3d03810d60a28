"""The in-process transport wakes up, keeps nothing waiting, and loses nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from queue import Queue
from typing import Any

import pytest
from kombu import Connection, Consumer, Exchange, Producer
from kombu import Queue as KombuQueue

from inngest_django.dispatch import memory


@pytest.fixture
def queue() -> Iterator[KombuQueue]:
    memory.register()
    kept = dict(memory.Channel.queues)
    yield KombuQueue("memory-test", Exchange("memory-test"), routing_key="memory-test")
    memory.Channel.queues.clear()
    memory.Channel.queues.update(kept)


def _publish(queue: KombuQueue, *bodies: int) -> None:
    with Connection(memory.URL) as connection:
        producer = Producer(connection)
        for body in bodies:
            producer.publish(
                body, exchange=queue.exchange, routing_key=queue.routing_key, declare=[queue]
            )


class Listener(threading.Thread):
    """Consumes until told to stop; notes what came, and when."""

    def __init__(self, queue: KombuQueue, *, prefetch: int = 0) -> None:
        super().__init__(daemon=True)
        self.queue, self.prefetch = queue, prefetch
        self.got: Queue[tuple[Any, Any, float]] = Queue()
        self.stopping = threading.Event()
        self.ready = threading.Event()

    def run(self) -> None:
        with (
            Connection(memory.URL) as connection,
            Consumer(
                connection,
                [self.queue],
                prefetch_count=self.prefetch or None,
                callbacks=[lambda body, m: self.got.put((body, m, time.monotonic()))],
            ),
        ):
            self.ready.set()
            while not self.stopping.is_set():
                try:
                    connection.drain_events(timeout=30)
                except TimeoutError:
                    continue

    def __enter__(self) -> Listener:
        self.start()
        self.ready.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.join(5)
        assert not self.is_alive()


def test_idle_consumer_is_woken_at_once(queue: KombuQueue) -> None:
    with Listener(queue) as listener:
        lateness = []
        for body in range(10):
            # By now it waits: the previous message is long delivered.
            sent = time.monotonic()
            _publish(queue, body)
            _, message, at = listener.got.get(timeout=5)
            message.ack()
            lateness.append(at - sent)

    assert sorted(lateness)[5] < 0.05


def test_acknowledging_opens_a_full_window_at_once(queue: KombuQueue) -> None:
    with Listener(queue, prefetch=2) as listener:
        _publish(queue, *range(6))
        held = [listener.got.get(timeout=5) for _ in range(2)]
        pauses = []
        for _ in range(4):
            acked = time.monotonic()
            held.pop(0)[1].ack()
            held.append(listener.got.get(timeout=5))
            pauses.append(held[-1][2] - acked)

    # Without the bell each would take the quarter of a second of an idle round.
    assert sorted(pauses)[1] < 0.1


@pytest.mark.timeout(60)
def test_consumer_returns_soon_enough_to_be_stopped(queue: KombuQueue) -> None:
    with (
        Connection(memory.URL) as connection,
        Consumer(connection, [queue]),
        pytest.raises(TimeoutError),
    ):
        connection.drain_events(timeout=3600)


def test_threads_that_meet_a_new_queue_get_the_same_one() -> None:
    memory.register()
    channel = Connection(memory.URL).channel()
    found: list[Any] = []
    barrier = threading.Barrier(8)

    def look(name: str) -> None:
        barrier.wait(5)
        found.append(channel._queue_for(name))

    for number in range(50):
        found.clear()
        threads = [threading.Thread(target=look, args=(f"memory-test-{number}",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({id(queue) for queue in found}) == 1
        channel._delete(f"memory-test-{number}")
