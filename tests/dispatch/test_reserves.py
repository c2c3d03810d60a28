"""What a worker holds in reserve on Redis: only other tasks' messages are listed there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Consumer, Queue
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual

from inngest_django.dispatch import reserves, tasks
from tests.functional.support import unique

OTHER = "shop.close_day"
WINDOW = 4


class Stage:
    """A consumer of one queue, with a window of four messages, as a worker's main process."""

    def __init__(self, app: Celery, queue: str) -> None:
        self.app = app
        self.queue = queue
        self.held: list[Any] = []
        # Not the channel's own client, which waits for messages.
        self.redis = redis.Redis.from_url(app.conf.broker_url)
        self.prefix = app.conf.broker_transport_options["global_keyprefix"]
        self.connection = app.connection_for_read()
        self.channel = self.connection.channel()
        bound = Queue(queue, channel=self.channel)
        bound.declare()
        self.consumer = Consumer(self.channel, [bound], on_message=self.held.append)
        self.consumer.qos(prefetch_count=WINDOW)
        self.consumer.consume()

    def send(self, *names: str) -> None:
        for name in names:
            self.app.send_task(name, queue=self.queue)

    def drain(self) -> list[str]:
        """Receive what there is and there is room for; returns the tasks held so far."""
        try:
            while True:
                self.connection.drain_events(timeout=0.3)
        except TimeoutError:
            return [message.headers["task"] for message in self.held]

    def listed(self) -> int:
        """How many messages Redis lists as unacknowledged."""
        return int(self.redis.hlen(f"{self.prefix}unacked"))

    def waiting(self) -> int:
        return int(self.redis.llen(f"{self.prefix}{self.queue}"))


@pytest.fixture
def app(settings: Any) -> Iterator[Celery]:
    with Celery("reserves", broker=settings.CELERY_BROKER_URL, set_as_current=False) as app:
        app.conf.broker_transport_options = {"global_keyprefix": unique("reserves")}
        yield app


@pytest.fixture
def stage(app: Celery, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Stage]]:
    # Undone in the end: the class is kombu's.
    monkeypatch.setattr(kombu_redis.Channel, "QoS", kombu_redis.Channel.QoS)
    made: list[Stage] = []

    def make() -> Stage:
        made.append(Stage(app, "held"))
        return made[-1]

    yield make
    for each in made:
        each.connection.close()
        keys = each.redis.keys(f"{each.prefix}*")
        if keys:
            each.redis.delete(*keys)
        each.redis.close()


@pytest.mark.redis
@pytest.mark.smoke
def test_redis_lists_the_messages_of_other_tasks_only(
    app: Celery, stage: Callable[[], Stage]
) -> None:
    reserves.leave_out_hints(app)
    worker = stage()
    worker.send(tasks.EXECUTE, OTHER, tasks.ROUTE)

    assert worker.drain() == [tasks.EXECUTE, OTHER, tasks.ROUTE]
    assert worker.listed() == 1
    for message in worker.held:
        message.ack()

    assert worker.listed() == 0


@pytest.mark.redis
def test_without_it_redis_lists_all(app: Celery, stage: Callable[[], Stage]) -> None:
    """What the test above would see if nothing were left out."""
    worker = stage()
    worker.send(tasks.EXECUTE, OTHER)
    worker.drain()

    assert worker.listed() == 2


@pytest.mark.redis
def test_hints_take_their_places_in_the_window(app: Celery, stage: Callable[[], Stage]) -> None:
    reserves.leave_out_hints(app)
    worker = stage()
    worker.send(*[tasks.EXECUTE] * (WINDOW + 2))

    assert len(worker.drain()) == WINDOW
    worker.held[0].ack()
    assert len(worker.drain()) == WINDOW + 1
    worker.held[1].reject()
    assert len(worker.drain()) == WINDOW + 2


@pytest.mark.redis
@pytest.mark.parametrize("name", [tasks.EXECUTE, OTHER])
def test_a_message_that_is_put_back_comes_again(
    app: Celery, stage: Callable[[], Stage], name: str
) -> None:
    reserves.leave_out_hints(app)
    worker = stage()
    worker.send(name)
    worker.drain()

    worker.held[0].requeue()

    assert worker.drain() == [name, name]
    assert worker.held[0].delivery_tag == worker.held[1].delivery_tag
    worker.held[1].ack()
    assert (worker.listed(), worker.waiting()) == (0, 0)


@pytest.mark.redis
def test_a_worker_that_ends_gives_back_what_it_holds(
    app: Celery, stage: Callable[[], Stage]
) -> None:
    reserves.leave_out_hints(app)
    first = stage()
    first.send(tasks.EXECUTE, OTHER, tasks.EXECUTE)
    first.drain()
    first.held[0].ack()

    first.connection.close()

    second = stage()
    assert sorted(second.drain()) == [tasks.EXECUTE, OTHER]


@pytest.mark.redis
def test_it_is_done_once_for_a_class(app: Celery, stage: Callable[[], Stage]) -> None:
    reserves.leave_out_hints(app)
    once = kombu_redis.Channel.QoS
    reserves.leave_out_hints(app)

    assert kombu_redis.Channel.QoS is once
    stage()


@pytest.mark.parametrize("url", ["memory://", "nonsense://x", "amqp://guest@127.0.0.1:1//"])
def test_other_brokers_are_left_alone(url: str) -> None:
    before = virtual.Channel.QoS

    reserves.leave_out_hints(Celery("other", broker=url, set_as_current=False))
    reserves.leave_out_hints(None)

    assert virtual.Channel.QoS is before
