"""A RabbitMQ node that goes away, comes back and blocks its publishers, under a mixed load."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from inngest_django.models import Event as EventRow
from tests.faults import arena as arenas
from tests.faults import places
from tests.faults.arena import Arena
from tests.faults.drives import Strike
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules
from tests.faults.servers import Rabbit
from tests.processes import ProcessStack

pytestmark = [pytest.mark.faults, pytest.mark.rabbitmq, pytest.mark.timeout(240)]

# The promise begins when the worker has its broker again, and Celery pauses 2, 4, 6 s between
# attempts; the node itself takes a few seconds, through which it tries.
BOUND = arenas.BOUND + 12


@pytest.fixture(scope="module")
def node() -> Iterator[Rabbit]:
    with Rabbit() as server:
        yield server


@pytest.fixture(scope="module")
def shared_arena(stack: ProcessStack, node: Rabbit) -> Iterator[Arena]:
    """As that of conftest.py, with a broker of its own."""
    with places.broker(stack, node.url), arenas.running(stack, heal=False) as opened:
        yield opened


@pytest.mark.matrix(16, "RabbitMQ node killed and started again")
def test_a_node_that_dies_and_comes_back_costs_nothing_but_time(arena: Arena, node: Rabbit) -> None:
    def die() -> None:
        node.stop(signal.SIGKILL)
        # Accepted while there is no broker: the sender is not told of an error.
        arena.under_way.send_set()
        node.start()

    report = arena.drive(sets=2, timeout=120, bound=BOUND, strikes=[Strike(after=10, blow=die)])

    print(report)
    assert report.recoveries[0].held
    assert report.restarts == 0


@pytest.mark.matrix(16, "RabbitMQ's memory alarm blocks publishers")
def test_events_are_accepted_while_publishers_are_blocked(arena: Arena, node: Rabbit) -> None:
    def block() -> None:
        node.alarm(on=True)
        try:
            before = EventRow.objects.count()
            arena.under_way.send_set()
            assert EventRow.objects.count() > before
            arena.under_way.probe.wait(3)
        finally:
            node.alarm(on=False)

    report = arena.drive(timeout=120, bound=BOUND, strikes=[Strike(after=6, blow=block)])

    print(report)
    assert report.recoveries[0].held
    assert report.restarts == 0


@pytest.mark.matrix(17, "Broker away when the event is committed")
def test_events_committed_without_a_broker_are_delivered_once(arena: Arena, node: Rabbit) -> None:
    node.stop(signal.SIGKILL)
    # The load is sent before the first strike, which is what brings the node back.
    report = arena.drive(timeout=120, bound=BOUND, strikes=[Strike(after=0, blow=node.start)])

    print(report)
    assert report.recoveries[0].held
    assert report.extra_calls == 0
