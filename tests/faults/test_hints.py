"""Messages that are lost or delivered more than once change nothing but the time it takes."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator

import kombu
import pytest
from celery import current_app
from django.conf import settings

from inngest_django.engine import hints
from inngest_django.testing.proxy import Proxy
from tests.faults import injection
from tests.faults.arena import Arena
from tests.faults.drives import Strike
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules
from tests.processes import wait_until

pytestmark = pytest.mark.faults

LATE = 2.0  # Seconds.


@pytest.mark.matrix(18, "every message lost")
def test_every_hint_lost_the_tick_does_all_of_it(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The sender's own, too; the worker drops what it publishes after its commits.
    monkeypatch.setattr(hints, "_route", lambda: None)
    arena.start_worker({injection.HINTS: "drop"})

    report = arena.drive(timeout=90, count=lambda: arena.hints(injection.LOST))

    print(f"every hint lost: {report}")
    # One for each result at least, as the load has it.
    assert report.faults > len(report.runs)
    assert report.extra_calls == 0


@pytest.mark.matrix(18, "every message three times")
def test_every_hint_delivered_three_times_calls_no_body_twice(arena: Arena) -> None:
    arena.start_worker({injection.HINTS: "triple"})

    report = arena.drive(sets=2, count=lambda: arena.hints(injection.GIVEN))

    print(f"every hint three times: {report}")
    assert report.faults > len(report.runs)
    wait_until(
        lambda: _received(arena) >= 3 * arena.hints(injection.GIVEN), what="three of each hint"
    )
    assert report.extra_calls == 0


@pytest.mark.matrix(18, "messages three times while workers die")
def test_hints_tripled_while_workers_die(arena: Arena) -> None:
    arena.start_worker({injection.HINTS: "triple"}, points=True)
    points = ("lease.taken", "outcome.committed", "timer.written", "route.start_written")
    for point in points:
        injection.arm(arena.folder, point)

    report = arena.drive(sets=2)

    print(f"every hint three times, four kills: {report}")
    assert sorted(report.hits) == sorted(points)
    assert arena.hints(injection.GIVEN) > len(report.runs)


@pytest.mark.matrix(18, "every message ten times, late and out of order")
def test_every_hint_ten_times_and_late_calls_no_body_twice(arena: Arena) -> None:
    arena.start_worker({injection.HINTS: "late"})

    report = arena.drive(timeout=120, count=lambda: arena.hints(injection.DELIVERED))

    print(f"every hint ten times, late: {report}")
    assert report.faults > len(report.runs)
    # The last of them are on their way when the load has ended.
    wait_until(
        lambda: arena.hints(injection.DELIVERED) == 10 * arena.hints(injection.GIVEN),
        what="ten of each hint",
    )
    wait_until(lambda: _received(arena) >= arena.hints(injection.DELIVERED), what="receipt")
    assert report.extra_calls == 0


@pytest.mark.matrix(18, "every message seconds late")
@pytest.mark.rabbitmq  # Redis hands out one message for each question: late, it is a slow broker.
@pytest.mark.timeout(240)
def test_every_message_seconds_late_calls_no_body_twice(arena: Arena) -> None:
    """What the broker gives the worker lies two seconds on its way."""
    known = kombu.Connection(settings.CELERY_BROKER_URL)
    place = known.info()
    proxy = Proxy(place["hostname"], int(place["port"]))
    with _worker_as_before(arena), proxy:
        late = known.clone(hostname=proxy.host, port=proxy.port).as_uri(include_password=True)
        # Publishers alone go past it: to them one that answers so late is one that is away.
        reading = {"CELERY_BROKER_READ_URL": late}
        arena.start_worker({"INNGEST_TEST_CELERY": json.dumps(reading)})
        before = proxy.counts.bytes_to_client
        strikes = [
            Strike(0, lambda: proxy.delay(to_client=LATE)),
            *(Strike(after, faults=0) for after in (10, 25)),
        ]
        report = arena.drive(timeout=90, strikes=strikes)
        carried = proxy.counts.bytes_to_client - before
        took = _seconds_to_answer(proxy)

    print(f"every message {LATE:g} s late: {report}, {carried} bytes")
    assert took >= LATE
    # Such a message is hundreds of bytes long.
    assert carried > 100 * len(report.runs)
    assert report.extra_calls == 0


@contextlib.contextmanager
def _worker_as_before(arena: Arena) -> Iterator[None]:
    """Have no worker that would look for a broker which is gone."""
    try:
        yield
    finally:
        arena.start_worker()


def _seconds_to_answer(proxy: Proxy) -> float:
    """Return how long the broker's first answer takes, through what is before it."""
    started = time.monotonic()
    with socket.create_connection((proxy.host, proxy.port), timeout=30) as connection:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        assert connection.recv(1)
    return time.monotonic() - started


def _received(arena: Arena) -> int:
    """Return how many messages about jobs this worker was given."""
    return len(re.findall(r"Task inngest\.execute\[\S+\] received", arena.worker.output()))


@pytest.mark.matrix(19, "poisoned, unknown and old messages")
def test_messages_that_nobody_wrote_for_this_worker_harm_nothing(arena: Arena) -> None:
    """They are refused with a line in the log, and the same worker does all of the load."""
    arena.start_worker()
    worker = arena.worker.pid

    report = arena.drive(sets=2, strikes=[Strike(after=n, blow=_poison) for n in (0, 12, 30)])

    print(f"poisoned messages: {report}")
    assert arena.worker.pid == worker
    assert arena.worker.output().count("refused a message") == 3 * len(_REFUSED)
    assert report.extra_calls == 0


# Of a version that knew other arguments, of a program that guesses, of nobody.
_REFUSED: tuple[tuple[str, tuple[object, ...], dict[str, object]], ...] = (
    ("inngest.execute", ("0193-of-an-old-version",), {}),
    ("inngest.execute", (1, "attempt", 3), {"run": "x"}),
    ("inngest.execute", (2**70,), {}),
    ("inngest.route", ({"event": 1},), {}),
    ("inngest.tick", (), {"now": "yesterday"}),
)


def _poison() -> None:
    queue = settings.INNGEST["CONTROL_QUEUE"]
    for name, args, kwargs in _REFUSED:
        current_app.send_task(name, args, kwargs, queue=queue)
    # A job that is gone, a task that nobody knows, and no task at all.
    current_app.send_task("inngest.execute", (2**40,), queue=queue)
    current_app.send_task("inngest.unknown", queue=queue)
    with current_app.producer_pool.acquire() as producer:
        for body, kind in ((b"\x80nonsense", "application/json"), (b"", "application/x-none")):
            producer.publish(body, routing_key=queue, content_type=kind, content_encoding="utf-8")
