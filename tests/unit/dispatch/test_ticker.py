"""A worker's own tick."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable

import pytest
from django.db import OperationalError, connection

from inngest_django import clock
from inngest_django.dispatch import ticker
from inngest_django.dispatch.ticker import Ticker
from inngest_django.engine import recovery, routing
from inngest_django.models import Pulse


@pytest.fixture
def routed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []
    monkeypatch.setattr(routing, "route", lambda: calls.append("route"))
    return calls


@pytest.mark.django_db(transaction=True)
def test_overdue_tick_runs_here_and_routes(routed: list[str]) -> None:
    Pulse.objects.update_or_create(
        pk=1, defaults={"ticked_at": clock.now() - dt.timedelta(minutes=1)}
    )

    assert ticker.tick_if_overdue() is True

    assert routed == ["route"]
    assert not recovery.overdue()


@pytest.mark.django_db(transaction=True)
def test_tick_that_ran_a_moment_ago_is_enough(routed: list[str]) -> None:
    recovery.tick()

    assert ticker.tick_if_overdue() is False

    assert routed == []


def _until(monkeypatch: pytest.MonkeyPatch, work: Callable[[int], bool], times: int) -> None:
    """Run a ticker whose look is ``work(number)`` until it looked so often."""
    enough = threading.Event()
    looks = 0

    def look() -> bool:
        nonlocal looks
        looks += 1
        if looks >= times:
            enough.set()
        return work(looks)

    monkeypatch.setattr(ticker, "tick_if_overdue", look)
    monkeypatch.setattr(Ticker, "_pause", staticmethod(lambda _: 0.01))
    running = Ticker()
    running.start()
    try:
        assert enough.wait(10)
    finally:
        running.stop()
    assert not running._thread.is_alive()


def test_error_does_not_end_it_and_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: int) -> bool:
        raise OperationalError("the database is away")

    _until(monkeypatch, fail, 5)

    assert len([r for r in caplog.records if "the database is away" in r.getMessage()]) == 1


@pytest.mark.django_db(transaction=True)
def test_no_connection_is_held_between_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    open_before_look = []

    def look(_: int) -> bool:
        open_before_look.append(connection.connection is not None)
        connection.ensure_connection()
        return False

    _until(monkeypatch, look, 4)

    assert not any(open_before_look)
