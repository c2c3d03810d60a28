"""A Redis server that forgets, stops, pauses and crawls, while a mixed load runs."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Iterator

import kombu
import pytest
from django.conf import settings

from inngest_django.models import Run
from inngest_django.testing.proxy import Proxy
from tests import ledger
from tests.faults import arena as arenas
from tests.faults import load, places, recovery, verdicts
from tests.faults.arena import Arena
from tests.faults.drives import Strike
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules
from tests.faults.servers import LOOPBACK, Redis
from tests.processes import ProcessStack, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.redis, pytest.mark.timeout(240)]

# The promise begins when the worker has its broker again, and Celery pauses 2, 4, 6 s.
BOUND = arenas.BOUND + 12


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with Redis() as started:
        yield started


@pytest.fixture
def proxy(server: Redis) -> Iterator[Proxy]:
    with Proxy(LOOPBACK, server.port) as between:
        yield between


@pytest.fixture(scope="module")
def shared_arena(stack: ProcessStack, server: Redis) -> Iterator[Arena]:
    """As that of conftest.py, with a broker of its own."""
    with places.broker(stack, server.url), arenas.running(stack, heal=False) as opened:
        yield opened


@pytest.mark.matrix(13, "Redis flushed")
def test_a_flushed_redis_costs_nothing_but_time(arena: Arena, server: Redis) -> None:
    strikes = [Strike(after=n, blow=lambda: server.call("FLUSHALL")) for n in (3, 12, 25)]

    report = arena.drive(sets=2, timeout=120, strikes=strikes)

    print(report)
    assert sum(each.held for each in report.recoveries)
    assert report.restarts == 0


@pytest.mark.matrix(14, "Redis killed and started again, empty")
def test_a_redis_that_comes_back_empty_is_consumed_from_again(arena: Arena, server: Redis) -> None:
    def die() -> None:
        server.stop(signal.SIGKILL)
        arena.under_way.send_set()
        arena.under_way.probe.wait(1)
        server.start()

    report = arena.drive(
        timeout=120, bound=BOUND, strikes=[Strike(after=n, blow=die) for n in (4, 18)]
    )

    print(report)
    # kombu 5.6 may trip over its own connection while it hands back what it had in reserve;
    # the worker ends then, and whoever supervises it starts another: nothing stays silent.
    assert report.recoveries[0].held


@pytest.mark.matrix(14, "Redis answers nobody for 3 s")
def test_a_redis_that_pauses_its_clients_is_waited_for(arena: Arena, server: Redis) -> None:
    def pause() -> None:
        server.call("CLIENT", "PAUSE", 3000, "ALL")
        arena.under_way.send_set()
        # Answered when the pause is over.
        wait_until(server.answers, what="end of the pause")

    report = arena.drive(timeout=120, bound=BOUND, strikes=[Strike(after=6, blow=pause)])

    print(report)
    assert report.recoveries[0].held
    assert report.restarts == 0


@pytest.mark.matrix(14, "Redis 2 s away, then silent, then cut off")
def test_a_redis_that_answers_late_or_never_holds_up_no_sender(
    arena: Arena, server: Redis, proxy: Proxy
) -> None:
    def slow() -> None:
        proxy.delay(to_server=1, to_client=1)
        arena.under_way.send_set()
        arena.under_way.probe.wait(3)
        proxy.heal()

    def silence() -> None:
        proxy.hang()
        arena.under_way.send_set()
        arena.under_way.probe.wait(2)
        proxy.cut()
        proxy.heal()

    with places.broker(arena.stack, server.url.replace(str(server.port), str(proxy.port))):
        arena.start_worker()
        report = arena.drive(
            timeout=120, bound=BOUND, strikes=[Strike(5, slow), Strike(20, silence)]
        )
        arena.kill_worker()
    arena.start_worker()

    print(report)
    assert all(each.held for each in report.recoveries)


@pytest.mark.matrix(15, "Redis' visibility timeout shorter than the body")
def test_messages_that_redis_delivers_again_during_a_body_call_none_twice(
    arena: Arena, server: Redis
) -> None:
    """Bodies fill the worker, another one holds messages, and Redis hands those out again."""
    runs: list[Run] = []
    held: set[str] = set()

    def hand_out_again() -> recovery.Held:
        runs.extend(arena.start_many(load.single, 14, fault={"work": "hang"}))
        wait_until(lambda: sum(map(_begun, runs)) == 2, what="two bodies")
        # What our worker holds in reserve is not listed, so that nobody ever hands it out again.
        assert server.call("HLEN", f"{_prefix()}unacked") == 0
        with _another_worker(server) as found:
            held.update(found)
            # The tick takes what that one holds for lost, and publishes it, too.
            wait_until(lambda: server.call("LLEN", _queue()) >= len(held), what="new messages")
            _hand_out_again(server)
        for run in runs:
            ledger.note(run.id, "released")
        return recovery.cleared()

    report = arena.drive(strikes=[Strike(after=4, blow=hand_out_again)], bound=BOUND)

    assert held
    wait_until(lambda: held <= _received(arena), what="what was handed out again")
    # The drive counted one.
    verdicts.note(faults=len(held) - 1)
    print(f"delivered again: {len(held)} messages, {report}")
    assert report.extra_calls == 0
    assert list(map(_begun, runs)) == [1] * len(runs)


def _prefix() -> str:
    return str(settings.CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"])


def _queue() -> str:
    return f"{_prefix()}{settings.INNGEST['QUEUE']}"


@contextlib.contextmanager
def _another_worker(server: Redis) -> Iterator[set[str]]:
    """Take all messages of the queue, as a worker that lists them; gives their ids."""
    held: set[str] = set()
    options = {"global_keyprefix": _prefix()}
    with kombu.Connection(server.url, transport_options=options) as connection:
        channel = connection.channel()
        # What it holds when it ends is nobody's loss.
        channel.do_restore = False
        consumer = kombu.Consumer(
            channel,
            [kombu.Queue(settings.INNGEST["QUEUE"], channel=channel)],
            on_message=lambda message: held.add(message.headers["id"]),
        )
        consumer.consume()
        while True:
            try:
                connection.drain_events(timeout=1)
            except TimeoutError:
                break
        consumer.cancel()
        assert server.call("HLEN", f"{_prefix()}unacked") == len(held)
        yield held


def _hand_out_again(server: Redis) -> None:
    """Do what each consumer does now and then, as if the time-out had passed."""
    options = {"global_keyprefix": _prefix(), "visibility_timeout": 0}
    with kombu.Connection(server.url, transport_options=options) as connection:
        connection.default_channel.qos.restore_visible(num=100)


def _received(arena: Arena) -> set[str]:
    log = arena.worker.output()
    return set(re.findall(r"Task inngest\.execute\[(\S+)\] received", log))


def _begun(run: Run) -> int:
    return ledger.count(run.id, "begin work")
