"""Two prunings at a time, and a pruning beside somebody who holds a row."""

from __future__ import annotations

import pytest

from inngest_django import ids
from inngest_django.engine import retention, transactions
from inngest_django.models import Event, Run
from tests import factories
from tests.concurrency.stage import Stage
from tests.engine.support import Engine

pytestmark = pytest.mark.postgres

LONG_AGO = factories.ago(90 * 86_400)


def _old_runs(count: int) -> list[str]:
    millis = int(LONG_AGO.timestamp() * 1000)
    return [
        factories.completed_run(
            id=ids.ulid_from_seed(millis + number - count, bytes(10)),
            event=factories.event(
                id=ids.ulid_from_seed(millis + number - count, bytes(10)),
                received_at=LONG_AGO,
                routed_at=LONG_AGO,
            ),
            queued_at=LONG_AGO,
            ended_at=LONG_AGO,
        ).pk
        for number in range(count)
    ]


def test_two_prunings_share_the_work(
    engine: Engine, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    _old_runs(5)
    first = stage.actor(retention.prune, "first").stop_before("DELETE FROM .inngest_step")
    first.start().paused()

    second = stage.actor(retention.prune, "second").start().done()
    ended = first.go().done()

    assert (ended.runs, second.runs) == (2, 3)
    assert not Run.objects.exists()
    assert not Event.objects.exists()


def test_a_row_that_somebody_holds_is_left_for_the_next_time(engine: Engine, stage: Stage) -> None:
    runs = _old_runs(3)

    def hold() -> None:
        with transactions.write() as cursor:
            cursor.execute("SELECT 1 FROM inngest_run WHERE id = %s FOR UPDATE", (runs[1],))
            cursor.execute("SELECT 'held'")

    holder = stage.actor(hold, "holder").stop_before("'held'").start().paused()

    report = stage.actor(retention.prune, "pruning").start().done()

    assert (report.runs, report.events, report.is_done) == (2, 2, True)
    holder.go().done()
    assert retention.prune().runs == 1
