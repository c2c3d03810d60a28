"""Beat that is dead, there five times, or stopped."""

from __future__ import annotations

import os
import signal

import pytest

from tests.faults.arena import Arena
from tests.faults.drives import Strike
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules
from tests.processes import ProcessStack

pytestmark = pytest.mark.faults


@pytest.mark.matrix(20, "beat dead")
def test_without_beat_any_process_releases_what_is_due(arena: Arena) -> None:
    """The load sleeps and waits with a time-out; both end without a beat."""
    stack = arena.stack
    stack.stop_beat()
    try:
        report = arena.drive(strikes=[Strike(after=0, blow=lambda: None)])
    finally:
        stack.start_beat()

    print(report)
    assert report.extra_calls == 0


@pytest.mark.matrix(20, "five beats")
def test_five_beats_call_no_body_twice(arena: Arena) -> None:
    others = []
    try:
        for _ in range(4):
            other = ProcessStack()
            other.start_beat()
            others.append(other)

        report = arena.drive(sets=2, strikes=[Strike(after=0, blow=lambda: None)])
    finally:
        for other in others:
            assert other.beat
            other.beat.kill()

    print(report)
    assert report.extra_calls == 0


@pytest.mark.matrix(20, "beat stopped and continued")
def test_a_beat_that_was_stopped_for_a_while_changes_nothing(arena: Arena) -> None:
    beat = arena.stack.beat
    assert beat
    os.kill(beat.pid, signal.SIGSTOP)
    try:
        report = arena.drive(
            sets=2,
            strikes=[Strike(after=20, blow=lambda: os.kill(beat.pid, signal.SIGCONT))],
        )
    finally:
        os.kill(beat.pid, signal.SIGCONT)

    print(report)
    assert report.extra_calls == 0
    assert beat.is_alive()
