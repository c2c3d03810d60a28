"""The whole table of statuses, against the statements that move them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from inngest_django import ids
from inngest_django.engine import hot_path, runs, transactions
from inngest_django.engine.hot_path import NewStep
from inngest_django.models import Event, Job, Run, Step
from inngest_django.states import (
    RUN_TRANSITIONS,
    STEP_OPEN,
    STEP_TRANSITIONS,
    JobKind,
    OpKind,
    RunStatus,
    StepStatus,
)
from tests.simulation.schedule import Schedule
from tests.simulation.stage import Stage

pytestmark = pytest.mark.sqlite

ENDS = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)
SETTLED = (StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.TIMED_OUT)


@pytest.fixture
def empty(stage: Stage) -> None:
    """The stage's database without rows, and nobody watching."""
    Schedule(stage, 0)
    stage.database.listener = None


def run_in(status: RunStatus) -> Run:
    now = transactions.now()
    event = Event.objects.create(
        id=ids.new_ulid(), name="sim/table", data={}, ts=0, received_at=now, routed_at=now, seq=1
    )
    return Run.objects.create(
        id=ids.new_ulid(), function_id="sim-plain", status=status, event=event, queued_at=now
    )


def step_in(status: StepStatus) -> tuple[Run, Step]:
    run = run_in(RunStatus.RUNNING)
    step = Step.objects.create(run=run, hashed_id="a" * 40, name="a", status=status)
    return run, step


@pytest.mark.parametrize(("old", "new"), [*itertools.product(RunStatus, RunStatus)])
def test_run_moves_as_the_table_says(empty: None, old: RunStatus, new: RunStatus) -> None:
    run = run_in(old)

    if new in ENDS:
        with transactions.write() as cursor:
            locked = hot_path.lock_run(cursor, run.id)
            assert locked is not None
            runs.end(locked, status=new)
    elif new is RunStatus.RUNNING:
        hot_path.begin_run(run.id)
    else:
        # Nothing in the engine makes a run queued again, or skips one yet.
        return

    run.refresh_from_db()
    assert run.status == (new if new in RUN_TRANSITIONS[old] or new == old else old)


@pytest.mark.parametrize(("old", "new"), [*itertools.product(StepStatus, SETTLED)])
def test_step_is_settled_from_open_only(empty: None, old: StepStatus, new: StepStatus) -> None:
    _, step = step_in(old)

    with transactions.write() as cursor:
        was_open = hot_path.settle_step(
            cursor, step.pk, status=new, output=None, error=None, revision=1,
            now=transactions.now(),
        )  # fmt: skip

    step.refresh_from_db()
    assert was_open is (old in STEP_OPEN)
    assert step.status == (new if old in STEP_OPEN else old)
    # What the statement lets through beyond the table, its callers rule out by kind of job.
    assert new in STEP_TRANSITIONS[old] or old not in STEP_OPEN or new is StepStatus.TIMED_OUT


@pytest.mark.parametrize("old", StepStatus)
def test_step_begins_from_planned_only(empty: None, old: StepStatus) -> None:
    run, step = step_in(old)
    now = transactions.now()
    job = Job.objects.create(
        run=run, step=step, kind=JobKind.STEP, function_id="sim-plain", lease_token=7,
        available_at=now, next_hint_at=now,
    )  # fmt: skip

    hot_path.begin_step(step.pk, job.pk, 7)

    step.refresh_from_db()
    may = old == StepStatus.RUNNING or StepStatus.RUNNING in STEP_TRANSITIONS[old]
    assert step.status == (StepStatus.RUNNING if may else old)


@pytest.mark.parametrize(
    ("old", "new"), [*itertools.product(StepStatus, (StepStatus.COMPLETED, StepStatus.FAILED))]
)
def test_only_a_step_that_had_gone_is_recorded_at_once(
    empty: None, old: StepStatus, new: StepStatus
) -> None:
    run, step = step_in(old)
    found = NewStep(
        hashed_id=step.hashed_id, name="a", index=0, op=OpKind.STEP_RUN, status=new, input=None,
        output=None, error=None, attempt_count=1, started_at=None,
    )  # fmt: skip

    def record(cursor: Any) -> int:
        return hot_path.insert_settled_step(
            cursor, run.id, found, revision=1, now=transactions.now()
        )

    was_recorded = _recorded(record)

    step.refresh_from_db()
    assert was_recorded is (old is StepStatus.CANCELLED)
    assert step.status == (new if old is StepStatus.CANCELLED else old)
    assert new in STEP_TRANSITIONS[StepStatus.CANCELLED]


def _recorded(record: Callable[[Any], int]) -> bool:
    try:
        with transactions.write() as cursor:
            record(cursor)
    except TypeError:
        return False  # No row came back.
    return True
