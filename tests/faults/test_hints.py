"""Messages that are lost or delivered more than once change nothing but the time it takes."""

from __future__ import annotations

import pytest
from celery import current_app
from django.conf import settings

from inngest_django.engine import hints
from tests.faults import injection
from tests.faults.arena import Arena
from tests.faults.drives import Strike
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules

pytestmark = pytest.mark.faults


@pytest.mark.matrix(18, "every message lost")
def test_every_hint_lost_the_tick_does_all_of_it(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The sender's own, too; the worker drops what it publishes after its commits.
    monkeypatch.setattr(hints, "_route", lambda: None)
    arena.start_worker({injection.HINTS: "drop"})

    report = arena.drive(timeout=90)

    print(f"every hint lost: {report}")
    # Had the hints not been lost, it would have been over by then.
    assert report.took > 6
    assert report.extra_calls == 0


@pytest.mark.matrix(18, "every message three times")
def test_every_hint_delivered_three_times_calls_no_body_twice(arena: Arena) -> None:
    arena.start_worker({injection.HINTS: "triple"})

    report = arena.drive(sets=2)

    print(f"every hint three times: {report}")
    assert report.extra_calls == 0


@pytest.mark.matrix(18, "messages three times while workers die")
def test_hints_lost_and_tripled_while_workers_die(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    arena.start_worker({injection.HINTS: "triple"})
    for point in ("lease.taken", "outcome.committed", "timer.written", "route.start_written"):
        injection.arm(arena.folder, point)

    report = arena.drive(sets=2)

    print(f"every hint three times, four kills: {report}")
    assert len(injection.disarm(arena.folder)) == 0


@pytest.mark.matrix(18, "every message ten times, late and out of order")
def test_every_hint_ten_times_and_late_calls_no_body_twice(arena: Arena) -> None:
    arena.start_worker({injection.HINTS: "late"})

    report = arena.drive(timeout=120)

    print(f"every hint ten times, late: {report}")
    assert report.extra_calls == 0


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
