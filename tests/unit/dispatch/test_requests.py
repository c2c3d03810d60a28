"""A worker's messages when the broker does not hear that they are acknowledged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Consumer, Queue

from inngest_django.dispatch import tasks
from inngest_django.dispatch.requests import Request

WINDOW = 2


class Stage:
    """A consumer with a window of two messages, on a broker in memory."""

    def __init__(self, connection: Connection, app: Celery) -> None:
        self.connection = connection
        self.received: list[Any] = []
        self.channel = connection.channel()
        queue = Queue("requests-test", channel=self.channel)
        queue.declare()
        with app.amqp.producer_pool.acquire() as producer:
            for _ in range(WINDOW + 1):
                app.send_task(tasks.TICK, queue=queue, producer=producer, connection=connection)
        consumer = Consumer(self.channel, [queue], on_message=self.received.append)
        consumer.qos(prefetch_count=WINDOW)
        consumer.consume()

    def drain(self) -> int:
        """Receive what there is and there is room for; returns how many so far."""
        try:
            while True:
                self.connection.drain_events(timeout=0.1)
        except TimeoutError:
            return len(self.received)


@pytest.fixture
def app() -> Iterator[Celery]:
    with Celery("requests", broker="memory://", set_as_current=False) as found:
        yield found


@pytest.fixture
def stage(app: Celery) -> Iterator[Stage]:
    with app.connection_for_write() as connection:
        yield Stage(connection, app)


def accept(app: Celery, stage: Stage, message: Any) -> None:
    """What the worker does when a pool child takes the message."""
    Request(
        message,
        on_ack=message.ack_log_error,
        app=app,
        task=tasks.tick,
        connection_errors=(ConnectionError,),
    ).on_accepted(1, 0.0)


def test_our_tasks_use_it() -> None:
    for task in (tasks.execute, tasks.route, tasks.tick, tasks.prune):
        assert task.Request == f"{Request.__module__}:{Request.__qualname__}"


def test_an_acknowledged_message_makes_room_for_one(app: Celery, stage: Stage) -> None:
    assert stage.drain() == WINDOW
    assert not stage.channel.qos.can_consume()

    accept(app, stage, stage.received[0])

    assert stage.drain() == WINDOW + 1
    assert not stage.channel.qos.can_consume()


def test_messages_that_cannot_be_acknowledged_make_room_too(
    app: Celery, stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert stage.drain() == WINDOW

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(stage.channel, "basic_ack", fail)
    for message in list(stage.received):
        accept(app, stage, message)

    assert caplog.text.count("Couldn't ack") == WINDOW
    # It reads on, and so would notice that its connection is gone.
    assert stage.channel.qos.can_consume()
    assert stage.drain() == WINDOW + 1
