"""Messages that are lost or delivered more than once change nothing but the time it takes."""

from __future__ import annotations

import pytest

from inngest_django.engine import hints
from tests.faults import injection
from tests.faults.arena import Arena
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules

pytestmark = pytest.mark.faults


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


def test_every_hint_delivered_three_times_calls_no_body_twice(arena: Arena) -> None:
    arena.start_worker({injection.HINTS: "triple"})

    report = arena.drive(sets=2)

    print(f"every hint three times: {report}")
    assert report.extra_calls == 0


def test_hints_lost_and_tripled_while_workers_die(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    arena.start_worker({injection.HINTS: "triple"})
    for point in ("lease.taken", "outcome.committed", "timer.written", "route.start_written"):
        injection.arm(arena.folder, point)

    report = arena.drive(sets=2)

    print(f"every hint three times, four kills: {report}")
    assert len(injection.disarm(arena.folder)) == 0
