"""Publishing hints within a bounded time, whatever the broker does.

``apply_async`` does the publishing, so that a project's routing, serializer and
``before_task_publish`` receivers (tracing) apply; with ``FAST_PUBLISH`` messages are built by
hand where none of that is used. The connection is one of our own: the project's may wait for
ever on a broker that does not answer (Redis has no socket time-out unless told), and a caller
has already committed when it publishes.
"""

from __future__ import annotations

import collections
import logging
import os
import select
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from celery import current_app

from inngest_django import conf
from inngest_django.dispatch import tasks
from inngest_django.dispatch.eager import Eager
from inngest_django.dispatch.envelopes import Envelopes
from inngest_django.dispatch.messages import Message
from inngest_django.engine.hints import JobHint

logger = logging.getLogger(__name__)

LIMIT = 0.9  # Seconds for which the network may hold up one call.
RETRY_AFTER = 3.0  # Seconds after a failure in which nothing is tried.
ROUTE_EVERY = 0.02  # Seconds between hints to route at the start of a burst, of one process.
ROUTE_AT_MOST = 0.08  # Seconds between them as it goes on.
ROUTE_PAUSE = 0.005  # Seconds after which an event is not one of the last hint's burst.
LONGEST_DELAY = 60.0  # A later hint is the tick's to publish, from the job's row.
_MAX_IDLE = 8

_NO_RETRIES = {"max_retries": 0, "interval_start": 0, "interval_step": 0, "interval_max": 0}


class CeleryPublisher:
    """The engine's ``hints.Publisher``; safe to share between threads and across forks.

    Args:
        app: The Celery app to publish with; the current one unless given.
    """

    def __init__(self, app: Any = None) -> None:
        self._app = app
        self._breaker = Breaker()
        self._idle = _Idle()
        self._eager = Eager()
        self._envelopes = Envelopes()
        self._routes = _Routes()
        _publishers.add(self)

    def execute(self, hints: Sequence[JobHint]) -> bool:
        """Publish; False when the broker could not be reached."""
        settings = conf.get()
        return self._send(
            [
                Message(
                    tasks.EXECUTE,
                    (hint.job_id,),
                    settings.queue_for(hint.function_id),
                    max(0.0, hint.delay),
                )
                for hint in hints
                if hint.delay <= LONGEST_DELAY
            ]
        )

    def route(self) -> bool:
        """Ask for routing; False when the broker could not be reached.

        One routing takes all events that are committed, so a burst needs few of them.
        """
        is_eager = (self._app or current_app).conf.task_always_eager
        delay = 0.0 if is_eager else self._routes.next_delay()
        if delay is None:
            return True
        was_sent = self._send([Message(tasks.ROUTE, (), conf.get().CONTROL_QUEUE, delay)])
        if not was_sent:
            self._routes.nothing_is_coming()
        return was_sent

    def prune(self, number: int) -> bool:
        """Ask for the next turn of a pruning; False when the broker could not be reached."""
        return self._send([Message(tasks.PRUNE, (number,), conf.get().CONTROL_QUEUE)])

    def waiting(self, queue: str) -> int:
        """Return how many messages wait in a queue for a worker; 0 when that is not known."""
        app = self._app or current_app
        # Not ``allows``: after a failure its one turn is a publish's, or none ever succeeds.
        if app.conf.task_always_eager or self._breaker.is_failing:
            return 0
        for producer in self._idle.take():
            try:
                count = _depth(producer.connection, queue)
            except Exception:
                # Whatever ails it, the next publish finds out.
                logger.debug("asking for a queue's depth failed", exc_info=True)
                _close(producer)
                return 0
            self._idle.give_back(producer)
            return count
        return 0

    def close(self) -> None:
        """Close the held connections; the next publish opens another."""
        for producer in self._idle.take_all():
            _close(producer)

    def start_afresh(self) -> None:
        """Let go of a parent's connections and locks without a word on its sockets."""
        _inherited.append(self._idle)
        self._breaker, self._idle, self._eager = Breaker(), _Idle(), Eager()
        self._routes = _Routes()

    def _send(self, messages: Sequence[Message]) -> bool:
        if not messages:
            return True
        app = self._app or current_app
        if app.conf.task_always_eager:
            return self._eager.run(app, messages)
        if not self._breaker.allows():
            return False
        try:
            self._publish_all(app, messages)
        except Exception as error:  # noqa: BLE001 - the caller has committed: nothing may escape
            self._breaker.failed(error)
            return False
        self._breaker.succeeded()
        return True

    def _publish_all(self, app: Any, messages: Sequence[Message]) -> None:
        left = collections.deque(messages)
        started = time.monotonic()
        for producer in self._idle.take():
            # A held connection may have died since; that says nothing about the broker.
            try:
                self._publish_left(app, producer, left)
            except Exception:
                _close(producer)
                if time.monotonic() - started > LIMIT / 4:
                    # It was not closed, it is silent: trying on would take as long again.
                    self.close()
                    raise
            else:
                self._idle.give_back(producer)
                return
        producer = _connect(app)
        try:
            self._publish_left(app, producer, left)
        except BaseException:
            _close(producer)
            raise
        self._idle.give_back(producer)

    def _publish_left(self, app: Any, producer: Any, left: collections.deque[Message]) -> None:
        _check_alive(producer.connection)
        held_up = 0.0
        while left:
            started = time.monotonic()
            self._publish(app, producer, left[0])
            left.popleft()
            took = time.monotonic() - started
            # A long batch may take its time, a broker that crawls may not.
            held_up += took if took > LIMIT / 4 else 0.0
            if left and held_up > LIMIT:
                raise TimeoutError(f"{held_up:.1f} s for a few messages")

    def _publish(self, app: Any, producer: Any, message: Message) -> None:
        if conf.get().FAST_PUBLISH:
            envelope = self._envelopes.get(app, producer, task=message.task, queue=message.queue)
            if envelope is not None:
                envelope.publish(producer, message.args, countdown=message.countdown)
                return
        app.tasks[message.task].apply_async(
            args=message.args,
            queue=message.queue,
            countdown=message.countdown or None,
            producer=producer,
            retry=False,
            add_to_parent=False,
        )


def _connect(app: Any) -> Any:
    """Return a producer on a new connection whose every wait is bounded."""
    connection = app.connection_for_write(connect_timeout=LIMIT)
    driver = connection.get_transport_cls().driver_type
    given = connection.transport_options or {}
    seconds = LIMIT / max(1, len(connection.alt))
    connection.connect_timeout = seconds
    # Read when the connection is made, which is below.
    connection.transport_options = {**given, **_NO_RETRIES, **_bounds(driver, given, seconds)}
    try:
        connection.ensure_connection(
            timeout=LIMIT, **{**_NO_RETRIES, "max_retries": max(0, len(connection.alt) - 1)}
        )
        return app.amqp.Producer(connection, auto_declare=False)
    except BaseException:
        _close_connection(connection)
        raise


def _bounds(driver: str, given: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    if driver == "redis":
        names: tuple[str, ...] = ("socket_timeout", "socket_connect_timeout")
        rest: dict[str, Any] = {"retry_on_timeout": False}
    elif driver == "amqp":
        names = ("read_timeout", "write_timeout", "connect_timeout")
        # A confirmation costs three times the publish and saves only a delay.
        rest = {"confirm_publish": False}
    else:
        return {}
    return rest | {name: min(given.get(name) or seconds, seconds) for name in names}


def _check_alive(connection: Any) -> None:
    """Raise when the broker closed the connection.

    Over AMQP nothing answers a publish, so that the first message after a broker's restart
    would vanish into a closed socket. Redis answers each, and its client looks for itself.
    """
    if not connection.connected:
        # Publishing would connect again, with pauses that nothing bounds.
        raise ConnectionError("the connection was lost")
    if connection.get_transport_cls().driver_type != "amqp":
        return
    transport = connection.connection.transport  # of py-amqp
    poll = select.poll()
    poll.register(transport.sock, select.POLLIN)
    if poll.poll(0):
        connection.drain_events(timeout=0.01)


def _depth(connection: Any, queue: str) -> int:
    """Return how many messages of a queue no worker has fetched yet."""
    _check_alive(connection)
    # The broker closes the channel when there is no such queue.
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(queue=queue, passive=True).message_count)
        except connection.channel_errors:
            return 0


def _close(producer: Any) -> None:
    _close_connection(producer.connection)


def _close_connection(connection: Any) -> None:
    try:
        if connection.get_transport_cls().driver_type == "amqp":
            # Lets go without the farewell, for which a dead broker would keep us waiting.
            connection.collect()
        else:
            connection.close()
    except Exception:
        logger.debug("closing a broker connection failed", exc_info=True)


class Breaker:
    """Skips publishing for a moment after a failure, then lets one caller try."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_failing = False
        self._retry_at = 0.0

    @property
    def is_failing(self) -> bool:
        """Whether the last publish failed."""
        return self._is_failing

    def allows(self) -> bool:
        """Return whether this caller may try now."""
        with self._lock:
            if not self._is_failing:
                return True
            now = time.monotonic()
            if now < self._retry_at:
                return False
            # This caller finds out; the others go on without.
            self._retry_at = now + RETRY_AFTER
            return True

    def failed(self, error: BaseException) -> None:
        """Note a failure; logged once an outage."""
        with self._lock:
            was_failing, self._is_failing = self._is_failing, True
            self._retry_at = time.monotonic() + RETRY_AFTER
        if not was_failing:
            logger.warning(
                "The broker cannot be reached (%s: %s). Nothing is lost: due work moves when a"
                " worker and the broker are back. Check the broker URL of the Celery app.",
                type(error).__name__,
                error,
            )

    def succeeded(self) -> None:
        """Note a success; logged when it ends an outage."""
        if not self._is_failing:
            return
        with self._lock:
            was_failing, self._is_failing = self._is_failing, False
        if was_failing:
            logger.warning("The broker answers again.")


class _Routes:
    """When to ask for routing: at once, in a moment, or not because that was asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent_at = -ROUTE_PAUSE
        self._coming_at = 0.0
        self._every = ROUTE_EVERY

    def next_delay(self) -> float | None:
        """Return with what delay to publish; None when one that is published sees it all."""
        with self._lock:
            now = time.monotonic()
            # It will begin after this moment, so after what the caller has committed.
            if now < self._coming_at:
                return None
            if now - self._sent_at >= ROUTE_PAUSE:
                self._sent_at, self._every = now, ROUTE_EVERY
                return 0.0
            delay = self._every
            self._every = min(2 * delay, ROUTE_AT_MOST)
            self._sent_at = self._coming_at = now + delay
            return delay

    def nothing_is_coming(self) -> None:
        """Forget what could not be published."""
        with self._lock:
            self._coming_at = 0.0


class _Idle:
    """Producers at rest. Each is used by one thread at a time."""

    def __init__(self) -> None:
        self._producers: collections.deque[Any] = collections.deque()

    def take(self) -> Iterator[Any]:
        """Yield producers until the caller is content."""
        while True:
            try:
                yield self._producers.pop()
            except IndexError:
                return

    def take_all(self) -> list[Any]:
        """Return all of them."""
        return list(self.take())

    def give_back(self, producer: Any) -> None:
        """Keep a producer for the next caller."""
        if len(self._producers) < _MAX_IDLE:
            self._producers.append(producer)
        else:
            _close(producer)


_publishers: weakref.WeakSet[CeleryPublisher] = weakref.WeakSet()
# A parent's connections in a forked child. Kept, because closing them, by garbage collection
# too, could speak on a socket that the parent goes on using.
_inherited: list[Any] = []


def _after_fork() -> None:
    for publisher in list(_publishers):
        publisher.start_afresh()


os.register_at_fork(after_in_child=_after_fork)
