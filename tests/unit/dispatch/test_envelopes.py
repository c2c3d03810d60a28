"""FAST_PUBLISH: the same message as ``apply_async`` makes, or ``apply_async`` itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, Task, signals
from kombu import Producer

from inngest_django.dispatch import envelopes, memory
from inngest_django.dispatch.publisher import CeleryPublisher
from inngest_django.engine.hints import JobHint

_names = itertools.count()
# What differs between any two messages.
_OF_ONE_MESSAGE = {"id", "root_id", "eta"}


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
    declared: list[list[str]] = []
    publish = Producer.publish

    def counting(self: Any, *args: Any, declare: Any = (), **options: Any) -> Any:
        declared.append([queue.name for queue in declare])
        return publish(self, *args, declare=declare, **options)

    monkeypatch.setattr(Producer, "publish", counting)
    hints = CeleryPublisher(_app())

    for _ in range(2):
        assert hints.execute([JobHint(7, "f"), JobHint(8, "f")])
        assert hints.route()
        hints.close()

    assert declared == [["q"], [], ["c"]] * 2


def test_messages_are_those_of_apply_async(settings: Any, made: list[tuple[int, ...]]) -> None:
    app = _app()
    by_hand = _publish(app)
    assert made == [(7,), (8,), ()]
    settings.INNGEST = {**settings.INNGEST, "FAST_PUBLISH": False}
    by_celery = _publish(app)
    assert len(made) == 3

    for ours, theirs in zip(itertools.chain(*by_hand), itertools.chain(*by_celery), strict=True):
        assert ours.payload == theirs.payload
        assert ours.content_type == theirs.content_type
        assert ours.content_encoding == theirs.content_encoding
        assert ours.headers.keys() == theirs.headers.keys()
        assert {k: v for k, v in ours.headers.items() if k not in _OF_ONE_MESSAGE} == {
            k: v for k, v in theirs.headers.items() if k not in _OF_ONE_MESSAGE
        }
        assert (ours.headers["eta"] is None) == (theirs.headers["eta"] is None)
        assert ours.headers["root_id"] == ours.headers["id"] == ours.properties["correlation_id"]
        assert ours.properties.keys() == theirs.properties.keys()
        for name in ("delivery_mode", "priority", "reply_to"):
            assert ours.properties.get(name) == theirs.properties.get(name)
        assert ours.delivery_info == theirs.delivery_info


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
    assert ours.headers["expires"] is theirs.headers["expires"] is None


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
    monkeypatch.setattr(executor, "execute", done.append)

    assert CeleryPublisher(_app(task_always_eager=True)).execute([JobHint(7, "f")])

    assert done == [7]
    assert made == []
