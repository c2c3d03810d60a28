"""Beat that is dead, there five times, or stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from inngest_django import ContextSync, Inngest, TriggerCron
from inngest_django.models import Run, Schedule
from tests import ledger
from tests.faults.arena import Arena
from tests.faults.drives import Strike
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules
from tests.processes import Process, ProcessStack, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

# Its runs are not part of the load.
client = Inngest(app_id="beats", is_production=False)


class FourMoreBeats:
    """Four beats besides the ordinary one, from their start to the end of the test."""

    def __init__(self) -> None:
        self._started: list[Process] = []

    def start(self) -> None:
        """Start them."""
        for _ in range(4):
            self._started.append(ProcessStack().start_beat())

    @property
    def is_alive(self) -> bool:
        """Whether all four run."""
        return [beat.is_alive() for beat in self._started] == [True] * 4

    def kill(self) -> None:
        """End them."""
        for beat in self._started:
            beat.kill()


@pytest.fixture
def beats() -> Iterator[FourMoreBeats]:
    """Beats that end with the test."""
    found = FourMoreBeats()
    yield found
    found.kill()


@pytest.mark.matrix(20, "beat dead")
def test_without_beat_any_process_releases_what_is_due(arena: Arena) -> None:
    """The load sleeps and waits with a time-out; both end without a beat."""
    stack = arena.stack
    try:
        report = arena.drive(strikes=[Strike(after=0, blow=stack.stop_beat)])
        assert stack.beat is None
    finally:
        stack.start_beat()

    print(report)
    assert report.extra_calls == 0


@pytest.mark.matrix(20, "five beats")
def test_five_beats_call_no_body_twice(arena: Arena, beats: FourMoreBeats) -> None:
    # Starting them is a part of it.
    report = arena.drive(sets=2, timeout=120, strikes=[Strike(after=0, blow=beats.start)])

    assert beats.is_alive

    print(report)
    assert report.extra_calls == 0


@client.create_function(fn_id="new-year", trigger=TriggerCron(cron="0 0 1 1 *"))
def new_year(ctx: ContextSync) -> object:
    ctx.step.run("greet", ledger.note, ctx.run_id, "greet")
    return ctx.event.data["scheduledAt"]


@pytest.mark.matrix(20, "five beats, and times that none released")
def test_five_beats_make_up_for_each_missed_time_once(arena: Arena, beats: FourMoreBeats) -> None:
    """As if nothing had run for twelve years; the workers' own ticks help the beats."""
    row = Schedule.objects.get(function_id=new_year.id)
    years = [row.next_at.year - number for number in range(12, 0, -1)]
    runs = Run.objects.filter(function_id=new_year.id)
    beats.start()

    def miss() -> None:
        first = row.next_at.replace(year=years[0])
        Schedule.objects.filter(pk=row.pk).update(next_at=first, fires_at=first)

    report = arena.drive(strikes=[Strike(after=0, blow=miss)])
    wait_until(lambda: runs.filter(status="completed").count() >= len(years))

    assert beats.is_alive
    print(report)
    assert report.extra_calls == 0
    assert sorted(run.output for run in runs) == [f"{year}-01-01T00:00:00Z" for year in years]
    assert {ledger.count(run.id, "greet") for run in runs} == {1}
    assert Schedule.objects.get(pk=row.pk).next_at == row.next_at


@pytest.mark.matrix(20, "beat stopped and continued")
def test_a_beat_that_was_stopped_for_a_while_changes_nothing(arena: Arena) -> None:
    beat = arena.stack.beat
    assert beat
    strikes = [
        Strike(after=0, blow=lambda: os.kill(beat.pid, signal.SIGSTOP)),
        # One fault and its end.
        Strike(after=20, blow=lambda: os.kill(beat.pid, signal.SIGCONT), faults=0),
    ]
    try:
        report = arena.drive(sets=2, strikes=strikes)
    finally:
        os.kill(beat.pid, signal.SIGCONT)

    print(report)
    assert report.extra_calls == 0
    assert beat.is_alive()
