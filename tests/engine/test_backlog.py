"""Hints under a backlog: one message for each job, and none that stays lost."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from inngest_django import clock
from inngest_django.client import Inngest
from inngest_django.engine import recovery, transactions
from inngest_django.models import Run
from tests.engine.support import Engine
from tests.engine.test_protocol import declare


@pytest.fixture
def backlog(engine: Engine, client: Inngest) -> list[int]:
    """Six runs whose first entries are hinted for, and nobody has time for; their jobs."""

    @declare(client)
    def f(ctx: Any) -> str:
        return str(ctx.step.run("a", lambda: "done"))

    for _ in range(6):
        engine.send("test/started")
    engine.step()
    return [hint.job_id for hint in engine.jobs]


def _tick(*, after: float) -> int:
    clock.move(transactions.now() + dt.timedelta(seconds=after))
    return recovery.tick().hinted


def test_hints_that_wait_in_the_queue_are_not_sent_again(
    engine: Engine, backlog: list[int]
) -> None:
    assert [_tick(after=1), _tick(after=2), _tick(after=3), _tick(after=4)] == [0, 0, 0, 0]

    assert [hint.job_id for hint in engine.jobs] == backlog
    engine.idle()
    assert set(Run.objects.values_list("status", flat=True)) == {"completed"}


def test_lost_hints_are_sent_again(engine: Engine, backlog: list[int]) -> None:
    engine.lose_hints()

    assert _tick(after=2) == 6
    assert {hint.job_id for hint in engine.jobs} == set(backlog)


def test_of_some_lost_hints_so_many_are_sent_again_as_the_queue_lacks(
    engine: Engine, backlog: list[int]
) -> None:
    """Messages are taken in their order, so that what is lost is what was due first."""
    del engine.jobs[:2]

    assert _tick(after=2) == 2


def test_what_waits_is_counted_once_for_all_batches_of_a_tick(
    engine: Engine, backlog: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "BATCH", 2)
    engine.lose_hints()
    monkeypatch.setattr(engine, "waiting", lambda _: 3)

    assert _tick(after=2) == 3


def test_a_queue_full_of_something_else_hides_a_lost_hint_for_a_while_only(
    engine: Engine, backlog: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.lose_hints()
    monkeypatch.setattr(engine, "waiting", lambda _: 1_000_000)

    elapsed = 0
    while not _tick(after=1):
        elapsed += 1
        assert elapsed < 30
    assert {hint.job_id for hint in engine.jobs} <= set(backlog)
    assert elapsed > 3


def test_so_few_of_a_large_backlog_go_out_again_that_it_does_not_grow(
    engine: Engine, backlog: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "_UNLIKELY", 2)
    monkeypatch.setattr(recovery, "BATCH", 2)
    monkeypatch.setattr(engine, "waiting", lambda _: 1_000_000)

    assert max(_tick(after=1) for _ in range(60)) == 2


def test_what_a_dead_worker_held_is_hinted_for_whatever_waits(
    engine: Engine, backlog: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from inngest_django.engine import executor, outcomes
    from inngest_django.models import Job

    nothing = outcomes.Report(was_written=False)
    monkeypatch.setattr(executor, "_call", lambda *_, **how: nothing)
    for job_id in backlog:
        executor.execute(job_id)
    assert Job.objects.filter(leased_until=None).count() == 0
    engine.lose_hints()
    monkeypatch.setattr(engine, "waiting", lambda _: 1_000_000)

    assert [_tick(after=5), _tick(after=5), _tick(after=9)] == [0, 0, 6]
