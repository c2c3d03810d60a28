"""The checker holds each change of a status against the table, whoever made it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from django.db import connections, transaction

from inngest_django.models import Run, Step
from inngest_django.states import RUN_TRANSITIONS, STEP_TRANSITIONS
from tests.faults import arena as arenas
from tests.faults import audit
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules
from tests.processes import ProcessStack

pytestmark = pytest.mark.faults

KINDS = pytest.mark.parametrize(
    ("kind", "table"), [("run", RUN_TRANSITIONS), ("step", STEP_TRANSITIONS)], ids=["run", "step"]
)


@pytest.fixture(scope="module")
def ended(stack: ProcessStack) -> Iterator[tuple[Run, ...]]:
    """What became of a load that real workers did."""
    with arenas.running(stack) as arena:
        yield arena.drive().runs


def _seen(kind: str) -> set[tuple[str, str]]:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT DISTINCT old, new FROM fault_status WHERE kind = %s", (kind,))
        return set(cursor.fetchall())


@pytest.mark.parametrize(
    ("kind", "usual"),
    [
        ("run", {("queued", "running"), ("running", "completed"), ("running", "failed")}),
        (
            "step",
            {
                ("planned", "running"),
                ("running", "planned"),
                ("running", "completed"),
                ("running", "failed"),
                ("waiting", "completed"),
                ("waiting", "timed_out"),
            },
        ),
    ],
)
def test_what_workers_do_is_seen(
    ended: tuple[Run, ...], kind: str, usual: set[tuple[str, str]]
) -> None:
    assert _seen(kind) >= usual


def _move(row: Any, old: str, new: str) -> list[str]:
    """Have a row go from one status to the other, and return what is said of that change."""
    with transaction.atomic():
        type(row).objects.filter(pk=row.pk).update(status=old)
        with connections["default"].cursor() as cursor:
            cursor.execute("DELETE FROM fault_status")
        type(row).objects.filter(pk=row.pk).update(status=new)
        found = audit.unsound()
        transaction.set_rollback(True)
    return [text for text in found if text.startswith("status that may not follow")]


@KINDS
def test_change_that_the_table_forbids_is_noticed(
    ended: tuple[Run, ...], kind: str, table: Mapping[Any, frozenset[Any]]
) -> None:
    step = Step.objects.filter(run__in=ended).first()
    assert step is not None
    row = step.run if kind == "run" else step
    noticed = {(old, new): _move(row, old, new) for old in table for new in table if old is not new}

    assert noticed == {
        (old, new): []
        if new in table[old]
        else [f"status that may not follow: {kind} of {step.run_id} went from {old} to {new}"]
        for old, new in noticed
    }
