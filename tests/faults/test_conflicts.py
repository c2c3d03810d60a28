"""Transactions that the database refuses: deadlocks and serialization failures.

Deadlocks forced in two orders are in ``tests/concurrency``, between two connections; here
they strike everywhere under a load.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction

from inngest_django.engine import transactions
from tests.faults.arena import Arena
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules

pytestmark = pytest.mark.faults

# A sequence is not rolled back, so that trying again is another number.
_REFUSE = """
CREATE SEQUENCE fault_nth;
CREATE FUNCTION fault_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('fault_nth') %% 9 = 0 THEN
    RAISE EXCEPTION 'deadlock detected' USING ERRCODE = 'deadlock_detected';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER fault_refuse_job AFTER INSERT OR UPDATE OR DELETE ON inngest_job
  FOR EACH STATEMENT EXECUTE FUNCTION fault_refuse();
"""
_ALLOW = """
DROP TRIGGER IF EXISTS fault_refuse_job ON inngest_job;
DROP FUNCTION IF EXISTS fault_refuse; DROP SEQUENCE IF EXISTS fault_nth;
"""


def _sql(statement: str) -> list[tuple[int, ...]]:
    with connections["default"].cursor() as cursor:
        cursor.execute(statement, ())
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def refusing(arena: Arena) -> Iterator[None]:
    """Every ninth statement that writes jobs is the victim of a deadlock."""
    _sql(_ALLOW + _REFUSE)
    yield
    _sql(_ALLOW)


@pytest.mark.matrix(9, "every ninth statement on jobs is a deadlock's victim")
def test_deadlocks_are_tried_again(arena: Arena, refusing: None) -> None:
    def victims() -> int:
        [(statements,)] = _sql("SELECT last_value FROM fault_nth")
        return statements // 9

    report = arena.drive(sets=2, count=victims)

    print(f"deadlocks: {report}")
    assert report.faults > 10


# Seconds between two rounds of an opponent. It needs no gap, but no engine outlasts one that
# holds what it needs without end.
PAUSE = 0.2


class Opponent(threading.Thread):
    """A session that locks a row of a run first and the run second, against the engine's order.

    It holds the row until somebody waits for it. When that is an outcome, which holds the run,
    the two wait for each other. It changes nothing.
    """

    def __init__(self, table: str, condition: str) -> None:
        super().__init__(name=f"opponent of {table}", daemon=True)
        self._ending = threading.Event()
        self._pick = (
            f"SELECT o.id, o.run_id FROM {table} o JOIN inngest_run r ON r.id = o.run_id"
            f" WHERE r.function_id LIKE 'faults-%%' AND {condition}"
            " ORDER BY random() LIMIT 1 FOR UPDATE OF o SKIP LOCKED"
        )
        self.faults: Counter[str | None] = Counter()
        self.rounds = 0

    def run(self) -> None:
        connection = connections["default"]
        try:
            with connection.cursor() as cursor:
                # Who waits first looks for a circle first, and is its victim. That is the engine.
                cursor.execute("SET deadlock_timeout = '3s'")
            while not self._ending.wait(PAUSE):
                try:
                    with transaction.atomic(), connection.cursor() as cursor:
                        self._oppose(cursor)
                except OperationalError as error:
                    self.faults[transactions.sqlstate(error)] += 1
        finally:
            connection.close()

    def _oppose(self, cursor: Any) -> None:
        cursor.execute(self._pick, ())
        row = cursor.fetchone()
        if row is None:
            return
        self.rounds += 1
        for _ in range(20):
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                " AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
            )
            if cursor.fetchone()[0]:
                break
            self._ending.wait(0.01)
        cursor.execute("SELECT 1 FROM inngest_run WHERE id = %s FOR UPDATE", (row[1],))

    def end(self) -> None:
        self._ending.set()
        self.join()


@contextlib.contextmanager
def opponents() -> Iterator[list[Opponent]]:
    """Have them work against the engine for the length of the block."""
    found = [
        Opponent("inngest_job", "o.lease_token IS NOT NULL"),
        Opponent("inngest_wait", "o.status = 'open'"),
    ]
    for each in found:
        each.start()
    try:
        yield found
    finally:
        for each in found:
            each.end()


def _tried_again(arena: Arena) -> Counter[str]:
    """Return how often this worker's engine tried again, by the database's code."""
    return Counter(re.findall(r"database fault (\S+), trying again", arena.worker.output()))


@pytest.mark.matrix(9, "real deadlocks with sessions that lock the other way round")
def test_the_victims_of_real_deadlocks_try_again(arena: Arena) -> None:
    arena.start_worker({"PGOPTIONS": "-c deadlock_timeout=50ms"}, concurrency=4)

    with opponents() as sessions:
        report = arena.drive(sets=6, count=lambda: _tried_again(arena)["40P01"])

    print(f"deadlocks, {[(s.rounds, s.faults) for s in sessions]}: {report}")
    # How many there are depends on how long a load takes.
    assert report.faults >= 3
    assert report.restarts == 0


@pytest.mark.matrix(9, "serialization failures")
def test_serialization_failures_are_tried_again(arena: Arena) -> None:
    """Every transaction of the worker is SERIALIZABLE, which it does not ask for itself."""
    arena.start_worker({"PGOPTIONS": "-c default_transaction_isolation=serializable"})

    report = arena.drive(sets=6, count=lambda: _tried_again(arena)["40001"])

    print(f"transactions tried again: {report}")
    # How many there are depends on how long a load takes.
    assert report.faults >= 3
