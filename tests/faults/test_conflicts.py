"""Transactions that the database refuses: deadlocks and serialization failures.

Deadlocks forced in two orders are in ``tests/concurrency``, between two connections; here
they strike everywhere under a load.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connections

from tests.faults import verdicts
from tests.faults.arena import Arena
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules
from tests.processes import wait_until

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
    report = arena.drive(sets=2)

    [(statements,)] = _sql("SELECT last_value FROM fault_nth")
    verdicts.note(faults=statements // 9)
    print(f"{statements // 9} deadlocks: {report}")
    assert statements // 9 > 10


@pytest.mark.matrix(9, "serialization failures")
def test_serialization_failures_are_tried_again(arena: Arena) -> None:
    """Every transaction of the worker is SERIALIZABLE, which it does not ask for itself."""
    arena.start_worker({"PGOPTIONS": "-c default_transaction_isolation=serializable"})
    before = _rolled_back()

    report = arena.drive(sets=4)

    # A session reports its numbers a second late at most.
    count = wait_until(lambda: _rolled_back() - before, what="rolled back transaction")
    verdicts.note(faults=count)
    print(f"{count} transactions rolled back: {report}")


def _rolled_back() -> int:
    _sql("SELECT pg_stat_clear_snapshot()")
    [(count,)] = _sql(
        "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    )
    return count
