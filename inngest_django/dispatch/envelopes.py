"""Messages built by hand: what ``apply_async`` would have made, at a third of its cost.

Used with ``INNGEST["FAST_PUBLISH"]``. ``apply_async`` stays the reference: wherever a project
set or connected something that it would have heeded, no envelope is made and it does the work.
What a worker takes for granted where it is not said, is not said: each header is written by
the sender, read by the broker and the worker, and handed on to its child.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
import weakref
from collections.abc import Sequence
from typing import Any

from celery import signals
from celery.app.task import Task
from celery.utils.nodenames import anon_nodename
from celery.utils.quorum_queues import detect_quorum_queues
from kombu.entity import Queue

from inngest_django.serialization import dumps

# What a task may carry, from its class or from ``task_annotations``, and we do not.
_TASK_OPTIONS = (
    "queue",
    "exchange",
    "routing_key",
    "priority",
    "expires",
    "delivery_mode",
    "compression",
    "time_limit",
    "soft_time_limit",
    "immediate",
    "mandatory",
)

_declared: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()


@dataclasses.dataclass(frozen=True, slots=True)
class Envelope:
    """What the messages of one task to one queue have in common."""

    app: Any
    queue: Any
    headers: dict[str, Any]
    delivery_mode: Any

    def publish(self, producer: Any, args: Sequence[int], *, countdown: float = 0.0) -> None:
        """Publish one message through a held producer."""
        task_id = str(uuid.uuid4())
        parent = self.app.current_worker_task
        headers = {
            **self.headers,
            "id": task_id,
            "root_id": task_id,
            "argsrepr": repr(tuple(args)),
            "origin": anon_nodename(),
        }
        if parent is not None:
            headers["root_id"] = parent.request.root_id or parent.request.id
            headers["parent_id"] = parent.request.id
        if countdown:
            headers["eta"] = (self.app.now() + dt.timedelta(seconds=countdown)).isoformat()
        channel = producer.channel
        for queue in self._undeclared(producer):
            producer.maybe_declare(queue)
        # As the producer does it, once it has found out that nothing else is wanted.
        message = channel.prepare_message(
            f"[{dumps(args)},{{}},{{}}]".encode(),
            content_type="application/json",
            content_encoding="utf-8",
            headers=headers,
            properties={
                "delivery_mode": self.delivery_mode,
                "correlation_id": task_id,
                "reply_to": self.app.thread_oid,
            },
        )
        channel.basic_publish(message, exchange="", routing_key=self.queue.name)

    def _undeclared(self, producer: Any) -> tuple[Any, ...]:
        """Return the queue, once for each producer, which is one connection.

        kombu knows too what it has declared, but makes a copy of the queue to ask.
        """
        known = _declared.setdefault(producer, set())
        if self.queue.name in known:
            return ()
        known.add(self.queue.name)
        return (self.queue,)


class Envelopes:
    """The envelopes of one process, made once for each task and queue."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, str, str], Envelope | None] = {}

    def get(self, app: Any, producer: Any, *, task: str, queue: str) -> Envelope | None:
        """Return the envelope, or None where ``apply_async`` has to do it."""
        if _is_listened_to():
            return None
        key = (id(app), task, queue)
        if key not in self._made:
            self._made[key] = _make(app, producer, app.tasks[task], queue)
        return self._made[key]


def _is_listened_to() -> bool:
    # Tracing, mostly; receivers may come and go.
    return bool(
        signals.before_task_publish.receivers
        or signals.after_task_publish.receivers
        or signals.task_sent.receivers
    )


def _make(app: Any, producer: Any, task: Any, queue_name: str) -> Envelope | None:
    if not _is_plain_app(app) or not _is_plain_task(task):
        return None
    queue = app.amqp.queues[queue_name]
    if type(queue) is not Queue or queue.exchange.type != "direct":
        return None
    if detect_quorum_queues(app, producer.connection.get_transport_cls().driver_type)[0]:
        # A delay there is the broker's own business, by another exchange.
        return None
    headers = {"lang": "py", "task": task.name, "ignore_result": True}
    delivery_mode = queue.exchange.delivery_mode or app.conf.task_default_delivery_mode
    return Envelope(app, queue, headers, delivery_mode)


def _is_plain_app(app: Any) -> bool:
    conf = app.conf
    return (
        conf.task_protocol == 2
        and conf.task_serializer == "json"
        and not conf.task_compression
        and not conf.task_routes
        and not conf.task_send_sent_event
        and not conf.task_inherit_parent_priority
    )


def _is_plain_task(task: Any) -> bool:
    return (
        # Libraries for tracing and a project's own base class wrap or override it.
        type(task).apply_async is Task.apply_async
        and Task.apply_async.__module__ == Task.__module__
        and not hasattr(Task.apply_async, "__wrapped__")
        and task.serializer in {None, "json"}
        and task.ignore_result
        and all(getattr(task, name, None) is None for name in _TASK_OPTIONS)
    )
