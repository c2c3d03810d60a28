"""The publisher: bounded, quiet, and right about what it sends."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from inngest_django import conf
from inngest_django.dispatch import memory, publisher
from inngest_django.dispatch.publisher import Breaker, CeleryPublisher
from inngest_django.engine.hints import JobHint

_names = itertools.count()

# A broker that does not answer blocks for ever where nothing bounds it.
pytestmark = pytest.mark.timeout(60)


def _app(url: str, **settings: Any) -> Celery:
    app = Celery(f"publisher-{next(_names)}", broker=url, set_as_current=False)
    app.conf.update(settings)
    return app


@pytest.fixture
def app() -> Iterator[Celery]:
    """An app whose messages stay in this process, in queues of its own."""
    memory.register()
    kept = dict(memory.Channel.queues)
    memory.Channel.queues.clear()
    yield _app(memory.URL)
    memory.Channel.queues.clear()
    memory.Channel.queues.update(kept)


def _sent(app: Celery, queue: str) -> list[Any]:
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        found = []
        while (message := channel.basic_get(queue, no_ack=True)) is not None:
            found.append(message)
        return found


@pytest.fixture
def refused() -> Iterator[int]:
    """A port on which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that accepts and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        yield listening.getsockname()[1]


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that does not even accept: its queue of connections is full."""
    with contextlib.ExitStack() as held:
        listening = held.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            knocking = held.enter_context(socket.socket())
            knocking.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                knocking.connect(listening.getsockname())
        yield listening.getsockname()[1]


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
@pytest.mark.parametrize("fault", ["refused", "silent", "black_hole"])
def test_broker_that_is_down_costs_about_a_second_once(
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
    scheme: str,
    fault: str,
) -> None:
    port = request.getfixturevalue(fault)
    hints = CeleryPublisher(_app(f"{scheme}://127.0.0.1:{port}//"))

    first = hints.execute([JobHint(1, "f")] * 3)
    # Tried one by one they would take longer than the test may.
    rest = [hints.route() for _ in range(200)]

    assert first is False
    assert not any(rest)
    assert len([r for r in caplog.records if "cannot be reached" in r.getMessage()]) == 1


def test_project_time_outs_that_are_longer_are_cut_and_shorter_ones_kept(silent: int) -> None:
    options = {"socket_timeout": 0.1, "socket_connect_timeout": 60}
    hints = CeleryPublisher(_app(f"redis://127.0.0.1:{silent}//", broker_transport_options=options))

    assert hints.route() is False


def test_several_brokers_share_the_time(silent: int) -> None:
    url = ";".join([f"amqp://127.0.0.1:{silent}//"] * 3)
    hints = CeleryPublisher(_app(url))

    assert hints.route() is False


def test_next_broker_of_several_is_used(app: Celery, refused: int) -> None:
    app.conf.broker_url = f"amqp://127.0.0.1:{refused}//;{memory.URL}"

    assert CeleryPublisher(app).route() is True
    assert len(_sent(_app(memory.URL), conf.get().CONTROL_QUEUE)) == 1


def test_messages_that_wait_in_a_queue_are_counted(app: Celery) -> None:
    hints = CeleryPublisher(app)

    assert hints.waiting("q") == 0
    hints.route()
    assert hints.waiting("q") == 0
    assert hints.waiting(conf.get().CONTROL_QUEUE) == 1


def test_asking_what_waits_takes_no_turn_of_a_publish(app: Celery, refused: int) -> None:
    """After a failure one caller may try now and then; a question would find out nothing."""
    good, app.conf.broker_url = app.conf.broker_url, f"amqp://127.0.0.1:{refused}//"
    hints = CeleryPublisher(app)
    assert hints.route() is False
    app.conf.broker_url = good
    hints._breaker._retry_at = 0.0

    assert hints.waiting("q") == 0
    assert hints.execute([JobHint(1, "app-f")]) is True


def test_nothing_is_known_to_wait_where_no_broker_answers(silent: int) -> None:
    hints = CeleryPublisher(_app(f"amqp://127.0.0.1:{silent}//"))
    hints.route()

    assert hints.waiting("q") == 0


def test_messages_carry_ids_and_go_to_the_queue_of_their_function(
    app: Celery, settings: Any
) -> None:
    settings.INNGEST = {"QUEUE": "q", "CONTROL_QUEUE": "c", "QUEUES": {"shop-*": "slow"}}
    hints = CeleryPublisher(app)

    assert hints.execute([JobHint(1, "app-f"), JobHint(2, "shop-f"), JobHint(3, "app-f")])
    assert hints.route()
    assert hints.prune(4)

    assert [(m.headers["task"], m.payload[0]) for m in _sent(app, "q")] == [
        ("inngest.execute", [1]),
        ("inngest.execute", [3]),
    ]
    assert [m.payload[0] for m in _sent(app, "slow")] == [[2]]
    assert [(m.headers["task"], m.payload[0]) for m in _sent(app, "c")] == [
        ("inngest.route", []),
        ("inngest.prune", [4]),
    ]


def test_delay_becomes_an_eta_and_long_ones_are_left_to_the_tick(
    app: Celery, settings: Any
) -> None:
    settings.INNGEST = {"QUEUE": "q"}

    assert CeleryPublisher(app).execute(
        [JobHint(1, "f"), JobHint(2, "f", 0.4), JobHint(3, "f", 61), JobHint(4, "f", -5)]
    )

    etas = {m.payload[0][0]: m.headers["eta"] for m in _sent(app, "q")}
    assert set(etas) == {1, 2, 4}
    assert etas[1] is None
    assert etas[2] is not None
    assert etas[4] is None


def test_connection_is_kept_and_one_that_died_is_replaced(
    app: Celery, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.INNGEST = {"QUEUE": "c"}
    made: list[Any] = []
    connect = publisher._connect

    def counting(app: Any) -> Any:
        made.append(connect(app))
        return made[-1]

    monkeypatch.setattr(publisher, "_connect", counting)
    hints = CeleryPublisher(app)

    assert hints.execute([JobHint(1, "f")])
    assert hints.execute([JobHint(2, "f")])
    assert len(made) == 1

    made[0].connection._connection = None
    assert hints.execute([JobHint(3, "f")])
    assert len(made) == 2
    assert len(_sent(app, "c")) == 3


@dataclasses.dataclass
class _Clock:
    now: float = 100.0


@pytest.fixture
def clock(settings: Any, monkeypatch: pytest.MonkeyPatch) -> _Clock:
    """What the publisher takes for the time; routing is asked for in a queue of its own."""
    settings.INNGEST = {"CONTROL_QUEUE": "c"}
    clock = _Clock()
    monkeypatch.setattr(publisher.time, "monotonic", lambda: clock.now)
    return clock


def test_burst_asks_for_routing_now_and_once_more(app: Celery, clock: _Clock) -> None:
    hints = CeleryPublisher(app)

    assert all(hints.route() for _ in range(20))

    first, second = _sent(app, "c")
    assert first.headers["eta"] is None
    # It begins after the last of these, so it sees what they committed.
    assert second.headers["eta"] is not None

    clock.now += publisher.ROUTE_EVERY + 0.001
    assert hints.route()  # Nothing is on its way any more.
    assert len(_sent(app, "c")) == 1
    clock.now += publisher.ROUTE_AT_MOST
    assert hints.route()
    assert [message.headers["eta"] for message in _sent(app, "c")] == [None]


def test_burst_that_goes_on_is_routed_in_larger_parts_and_the_next_one_at_once(
    app: Celery, clock: _Clock
) -> None:
    hints = CeleryPublisher(app)
    sent_at: list[float] = []

    def send(times: int) -> None:
        for _ in range(times):
            assert hints.route()
            sent_at.extend(clock.now for _ in _sent(app, "c"))
            clock.now += 0.001

    send(400)
    pauses = [later - earlier for earlier, later in itertools.pairwise(sent_at)]
    # The first waits for nothing, so that the second follows it at once.
    assert pauses[1:4] == pytest.approx([0.02, 0.04, publisher.ROUTE_AT_MOST], abs=0.0011)
    assert pauses[4:] == pytest.approx([publisher.ROUTE_AT_MOST] * len(pauses[4:]), abs=0.0011)
    assert len(pauses) >= 6

    clock.now += 1.0
    sent_at.clear()
    send(30)
    pauses = [later - earlier for earlier, later in itertools.pairwise(sent_at)]
    assert pauses[1:] == pytest.approx([publisher.ROUTE_EVERY], abs=0.0011)


def test_events_one_after_the_other_do_not_wait_for_each_other(app: Celery, clock: _Clock) -> None:
    hints = CeleryPublisher(app)

    for _ in range(5):
        assert hints.route()
        # The sender saw what the last one led to, and is no burst.
        clock.now += publisher.ROUTE_EVERY / 2

    assert [message.headers["eta"] for message in _sent(app, "c")] == [None] * 5


@pytest.mark.usefixtures("clock")
def test_routing_that_could_not_be_published_is_asked_for_again(app: Celery) -> None:
    hints = CeleryPublisher(app)
    assert hints.route()
    url, app.conf.broker_url = app.conf.broker_url, "amqp://127.0.0.1:1//"
    hints.close()
    assert hints.route() is False

    app.conf.broker_url = url
    hints._breaker.succeeded()
    assert hints.route()

    assert len(_sent(app, "c")) == 2


def test_threads_publish_at_the_same_time(app: Celery, settings: Any) -> None:
    settings.INNGEST = {"QUEUE": "q"}
    hints = CeleryPublisher(app)
    results: list[bool] = []

    def publish(first: int) -> None:
        results.extend(hints.execute([JobHint(first + i, "f")]) for i in range(50))

    threads = [threading.Thread(target=publish, args=(n * 50 + 1,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(results)
    assert sorted(m.payload[0][0] for m in _sent(app, "q")) == list(range(1, 401))


def test_forked_child_lets_go_of_its_parents_connections(app: Celery) -> None:
    hints = CeleryPublisher(app)
    assert hints.route()
    assert len(hints._idle._producers) == 1

    # Held in the parent while it forks: the child must not wait for it.
    with hints._breaker._lock:
        pid = os.fork()
        if pid == 0:
            os._exit(0 if not hints._idle._producers and hints._breaker.allows() else 1)

    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert len(hints._idle._producers) == 1


def test_eager_mode_runs_what_follows_without_recursion(monkeypatch: pytest.MonkeyPatch) -> None:
    from inngest_django.engine import executor

    app = _app("memory://", task_always_eager=True)
    hints = CeleryPublisher(app)
    depths: list[int] = []
    depth = 0

    def execute(job_id: int, **how: bool) -> None:
        nonlocal depth
        depth += 1
        depths.append(depth)
        if job_id < 500:
            hints.execute([JobHint(job_id + 1, "f"), JobHint(job_id, "f", 0.5)])
        depth -= 1

    monkeypatch.setattr(executor, "execute", execute)

    assert hints.execute([JobHint(1, "f")])
    assert depths == [1] * 500


def test_breaker_lets_one_caller_try_after_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 100.0
    monkeypatch.setattr(publisher.time, "monotonic", lambda: now)
    breaker = Breaker()

    assert breaker.allows()
    breaker.failed(OSError("down"))
    assert not breaker.allows()

    now += publisher.RETRY_AFTER + 0.1
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    breaker.failed(OSError("down"))
    assert not breaker.allows()

    now += publisher.RETRY_AFTER + 0.1
    assert breaker.allows()
    breaker.succeeded()
    assert [breaker.allows() for _ in range(3)] == [True, True, True]
    assert [r.getMessage().split(" (")[0] for r in caplog.records] == [
        "The broker cannot be reached",
        "The broker answers again.",
    ]
