"""FAST_PUBLISH: a message that does what ``apply_async``'s does, or ``apply_async`` itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, Task, signals
from celery._state import _task_stack
from celery.app.task import Context
from celery.worker.request import Request
from kombu import Producer

from inngest_django.dispatch import envelopes, memory
from inngest_django.dispatch.publisher import CeleryPublisher
from inngest_django.engine.hints import JobHint

_names = itertools.count()
# What differs between any two messages; of properties the test asks by itself.
_OF_ONE_MESSAGE = {"id", "root_id", "correlation_id", "eta", "properties", "children"}
# Not kwargsrepr, which ours have not: it is for people, and there are never keywords.
_OF_A_REQUEST = (
    *("name", "type", "args", "kwargs", "argsrepr", "parent_id", "reply_to", "delivery_info"),
    *("expires", "time_limits", "utc", "content_type", "content_encoding", "hostname"),
    *("group", "group_index", "chord", "errbacks", "stamped_headers", "stamps"),
    *("ignore_result", "store_errors", "replaced_task_nesting"),
)
# However it is written.
_NOTHING: tuple[Any, ...] = (None, {}, [], (), [None, None], (None, None))


def _app(**settings: Any) -> Celery:
    task_cls = settings.pop("task_cls", None)
    app = Celery(
        f"envelopes-{next(_names)}", broker=memory.URL, set_as_current=False, task_cls=task_cls
    )
    app.conf.update(settings)
    return app


@pytest.fixture(autouse=True)
def queues(settings: Any) -> Iterator[None]:
    """Messages stay in this process, in queues of this test's own."""
    settings.INNGEST = {"QUEUE": "q", "CONTROL_QUEUE": "c", "FAST_PUBLISH": True}
    memory.register()
    kept = dict(memory.Channel.queues)
    memory.Channel.queues.clear()
    yield
    memory.Channel.queues.clear()
    memory.Channel.queues.update(kept)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The arguments of the messages that were built by hand."""
    found: list[tuple[int, ...]] = []
    publish = envelopes.Envelope.publish

    def counting(self: Any, producer: Any, args: Any, **options: Any) -> None:
        found.append(args)
        publish(self, producer, args, **options)

    monkeypatch.setattr(envelopes.Envelope, "publish", counting)
    return found


def _sent(app: Celery, queue: str) -> list[Any]:
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        found = []
        while (message := channel.basic_get(queue, no_ack=True)) is not None:
            found.append(message)
        return found


def _publish(app: Celery) -> tuple[list[Any], list[Any]]:
    hints = CeleryPublisher(app)
    assert hints.execute([JobHint(7, "f"), JobHint(8, "f", 0.4)])
    assert hints.route()
    return _sent(app, "q"), _sent(app, "c")


def test_a_queue_is_declared_once_for_each_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    declared: list[str] = []
    declare = Producer.maybe_declare

    def counting(self: Any, queue: Any, *args: Any, **options: Any) -> Any:
        declared.append(queue.name)
        return declare(self, queue, *args, **options)

    monkeypatch.setattr(Producer, "maybe_declare", counting)
    app = _app()
    hints = CeleryPublisher(app)

    for _ in range(2):
        assert hints.execute([JobHint(7, "f"), JobHint(8, "f")])
        assert hints.route()
        hints.close()

    assert declared == ["q", "c"] * 2
    assert len(_sent(app, "q")) == 4


def test_a_worker_makes_of_them_what_it_makes_of_those_of_apply_async(
    settings: Any, made: list[tuple[int, ...]]
) -> None:
    app = _app()
    by_hand = _publish(app)
    assert made == [(7,), (8,), ()]
    settings.INNGEST = {**settings.INNGEST, "FAST_PUBLISH": False}
    by_celery = _publish(app)
    assert len(made) == 3

    for ours, theirs in zip(itertools.chain(*by_hand), itertools.chain(*by_celery), strict=True):
        assert ours.content_type == theirs.content_type
        assert ours.content_encoding == theirs.content_encoding
        assert ours.headers["root_id"] == ours.headers["id"] == ours.properties["correlation_id"]
        assert ours.properties.keys() == theirs.properties.keys()
        for name in ("delivery_mode", "priority", "reply_to"):
            assert ours.properties.get(name) == theirs.properties.get(name)
        assert ours.delivery_info == theirs.delivery_info
        assert _received(app, ours) == _received(app, theirs)


def _received(app: Celery, message: Any) -> dict[str, Any]:
    """Return what a worker, and the task in its child, make of a message."""
    request = Request(message, app=app, hostname="here", task=app.tasks[message.headers["task"]])
    # Read once more, as the child does, which fills the request with what the body embeds.
    args, kwargs, embedded = message.decode()
    context = Context({**request.request_dict, "args": args, "kwargs": kwargs, **embedded})
    made = {f"request.{name}": getattr(request, name) for name in _OF_A_REQUEST}
    made |= {
        f"context.{name}": getattr(context, name)
        for name in vars(Context)
        if not name.startswith("_") and not callable(getattr(Context, name))
    }
    made |= {"has eta": request.eta is not None}
    return {
        name: None if value in _NOTHING else value
        for name, value in made.items()
        if name.partition(".")[2] not in _OF_ONE_MESSAGE
    }


def test_what_a_task_sends_names_it_as_its_parent(
    settings: Any, made: list[tuple[int, ...]]
) -> None:
    app = _app()
    task = app.tasks["inngest.route"]
    task.push_request(id="of the task", root_id="of the root", called_directly=False)
    _task_stack.push(task)
    try:
        by_hand = _publish(app)
        settings.INNGEST = {**settings.INNGEST, "FAST_PUBLISH": False}
        by_celery = _publish(app)
    finally:
        _task_stack.pop()
        task.pop_request()

    assert len(made) == 3
    for message in itertools.chain(*by_hand, *by_celery):
        assert message.headers["root_id"] == "of the root"
        assert message.headers["parent_id"] == "of the task"


def test_delay_is_the_moment_that_celery_would_write(
    settings: Any, time_machine: Any, made: list[tuple[int, ...]]
) -> None:
    time_machine.move_to("2031-05-04T03:02:01Z", tick=False)
    app = _app(timezone="Europe/Berlin")

    [_, ours], _ = _publish(app)
    settings.INNGEST = {**settings.INNGEST, "FAST_PUBLISH": False}
    [_, theirs], _ = _publish(app)

    assert made
    assert ours.headers["eta"] == theirs.headers["eta"]


@pytest.mark.parametrize("name", ["before_task_publish", "after_task_publish"])
def test_receivers_see_every_message_while_they_are_connected(
    name: str, made: list[tuple[int, ...]]
) -> None:
    app = _app()
    seen: list[Any] = []

    def receive(sender: Any = None, body: Any = None, headers: Any = None, **_: Any) -> None:
        headers["traced"] = "yes"
        seen.append((sender, tuple(body[0])))

    signal = getattr(signals, name)
    signal.connect(receive)
    try:
        jobs, routes = _publish(app)
    finally:
        signal.disconnect(receive)

    assert seen == [("inngest.execute", (7,)), ("inngest.execute", (8,)), ("inngest.route", ())]
    assert made == []
    if name == "before_task_publish":
        assert all(message.headers["traced"] == "yes" for message in [*jobs, *routes])

    _publish(app)
    assert made == [(7,), (8,), ()]


class _Wrapping(Task):
    def apply_async(self, *args: Any, **options: Any) -> Any:
        return super().apply_async(*args, **options, headers={"traced": "yes"})


@pytest.mark.parametrize(
    "settings_of_app",
    [
        {"task_cls": _Wrapping},
        {"task_routes": {"inngest.*": {"priority": 3}}},
        {"task_annotations": {"*": {"expires": 30}}},
        {"task_annotations": {"*": {"time_limit": 30}}},
        {"task_serializer": "yaml"},
        {"task_compression": "gzip"},
        {"task_send_sent_event": True},
        {"task_inherit_parent_priority": True},
        {"task_default_priority": 5},
        {"task_create_missing_queue_exchange_type": "topic"},
        {"task_protocol": 1},
    ],
    ids=lambda value: next(iter(value)),
)
def test_what_a_project_set_is_left_to_apply_async(
    settings: Any, settings_of_app: dict[str, Any], made: list[tuple[int, ...]]
) -> None:
    # A queue of its own: exchanges outlive a test, and cannot change their type.
    settings.INNGEST = {**settings.INNGEST, "CONTROL_QUEUE": next(iter(settings_of_app))}
    app = _app(**settings_of_app)

    assert CeleryPublisher(app).route()

    assert made == []


def test_delays_that_a_broker_keeps_itself_are_left_to_apply_async(
    monkeypatch: pytest.MonkeyPatch, made: list[tuple[int, ...]]
) -> None:
    # Quorum queues, which this broker does not have.
    monkeypatch.setattr(envelopes, "detect_quorum_queues", lambda *_: (True, "q"))

    assert CeleryPublisher(_app()).route()

    assert made == []


def test_wrapped_apply_async_is_called(
    monkeypatch: pytest.MonkeyPatch, made: list[tuple[int, ...]]
) -> None:
    import functools

    calls: list[str] = []
    inner = Task.apply_async

    @functools.wraps(inner)
    def traced(self: Any, *args: Any, **options: Any) -> Any:
        calls.append(self.name)
        return inner(self, *args, **options)

    monkeypatch.setattr(Task, "apply_async", traced)

    _publish(_app())

    assert calls == ["inngest.execute", "inngest.execute", "inngest.route"]
    assert made == []


def test_eager_mode_needs_no_message(
    monkeypatch: pytest.MonkeyPatch, made: list[tuple[int, ...]]
) -> None:
    from inngest_django.engine import executor

    done: list[int] = []
    monkeypatch.setattr(executor, "execute", lambda job_id, **how: done.append(job_id))

    assert CeleryPublisher(_app(task_always_eager=True)).execute([JobHint(7, "f")])

    assert done == [7]
    assert made == []
