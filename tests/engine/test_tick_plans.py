"""What the tick asks PostgreSQL, whatever the statistics of its tables say."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inngest_django.clock import now
from inngest_django.engine import hints, recovery
from inngest_django.ids import new_ulid
from inngest_django.models import Event

EVENTS = 2_000


class _Silent:
    def execute(self, _: object) -> bool:
        return True

    def route(self) -> bool:
        return True


@pytest.mark.postgres
@pytest.mark.django_db
@pytest.mark.parametrize("seq", [1, None])
def test_a_tick_reads_no_routed_events_after_a_busy_moment(seq: int | None) -> None:
    moment = now()
    Event.objects.bulk_create(
        Event(
            id=new_ulid(), name="test/sent", data={}, ts=0, received_at=moment,
            seq=seq and seq + number,
        )
        for number in range(EVENTS)
    )  # fmt: skip
    with connection.cursor() as cursor:
        # From now on the planner expects that any row it looks at waits for routing.
        cursor.execute("ANALYZE inngest_event")
    Event.objects.update(routed_at=moment + dt.timedelta(seconds=1), seq=1)
    previous = hints.install(_Silent())
    try:
        with CaptureQueriesContext(connection) as queries:
            report = recovery.tick()
    finally:
        hints.install(previous)

    assert not report.asked_for_routing
    asked = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    plans = {sql: _plan(sql) for sql in asked if "inngest_event" in sql}
    [plan] = plans.values()
    assert plan.count("Index") >= 2
    assert "on inngest_event" in plan
    assert "Seq Scan on inngest_event" not in plan


def _plan(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        return "\n".join(row[0] for row in cursor.fetchall())
