"""The whole table of statuses, against the statements that move them."""

from __future__ import annotations

import itertools
import types
from collections.abc import Callable
from typing import Any

import pytest

from inngest_django import ids
from inngest_django.drivers.base import Op
from inngest_django.engine import hot_path, pieces, planning, runs, transactions
from inngest_django.engine.hot_path import NewStep
from inngest_django.models import Event, Job, Run, Step, Wait, WaitKind, WaitStatus
from inngest_django.states import (
    RUN_TRANSITIONS,
    STEP_OPEN,
    STEP_TRANSITIONS,
    JobKind,
    OpKind,
    RunStatus,
    StepStatus,
)
from tests.simulation.audit import WAIT_TRANSITIONS
from tests.simulation.schedule import Schedule
from tests.simulation.stage import Stage

pytestmark = pytest.mark.sqlite

ENDS = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)
SETTLED = (StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.TIMED_OUT)


PLANS = {OpKind.STEP_PLANNED: StepStatus.PLANNED, OpKind.SLEEP: StepStatus.WAITING}
WAIT_ENDS = (WaitStatus.MATCHED, WaitStatus.TIMED_OUT, WaitStatus.CANCELLED)


def _end(status: RunStatus) -> Callable[[str], None]:
    def end(run_id: str) -> None:
        with transactions.write() as cursor:
            locked = hot_path.lock_run(cursor, run_id)
            assert locked is not None
            runs.end(locked, status=status)

    return end


# What moves a run to each status.
RUN_MOVERS: dict[RunStatus, Callable[[str], object]] = {
    RunStatus.RUNNING: hot_path.begin_run,
    **{status: _end(status) for status in ENDS},
}


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


@pytest.mark.parametrize(("old", "new"), [*itertools.product(RunStatus, RUN_MOVERS)])
def test_run_moves_as_the_table_says(empty: None, old: RunStatus, new: RunStatus) -> None:
    run = run_in(old)

    RUN_MOVERS[new](run.id)

    run.refresh_from_db()
    assert run.status == (new if new in RUN_TRANSITIONS[old] or new == old else old)


def test_statuses_of_a_run_that_nothing_moves_to_are_known() -> None:
    """A run begins as queued; none is skipped yet. What moves to one of them belongs above."""
    assert set(RunStatus) - set(RUN_MOVERS) == {RunStatus.QUEUED, RunStatus.SKIPPED}


@pytest.mark.parametrize("old", StepStatus)
def test_cancel_closes_open_steps_only(empty: None, old: StepStatus) -> None:
    run, step = step_in(old)

    with transactions.write():
        pieces.close_all(run.id, now=transactions.now())

    step.refresh_from_db()
    assert step.status == (StepStatus.CANCELLED if old in STEP_OPEN else old)
    assert (StepStatus.CANCELLED in STEP_TRANSITIONS[old]) is (old in STEP_OPEN)


@pytest.mark.parametrize(("old", "kind"), [*itertools.product(StepStatus, PLANS)])
def test_only_a_step_that_had_gone_is_planned_again(
    empty: None, old: StepStatus, kind: OpKind
) -> None:
    run, step = step_in(old)
    opts = {"duration_ms": 1000} if kind is OpKind.SLEEP else {}
    op = Op(kind=kind, hashed_id=step.hashed_id, name="a", opts=opts)
    leased = types.SimpleNamespace(function_id="sim-plain")

    with transactions.write() as cursor:
        locked = hot_path.lock_run(cursor, run.id)
        assert locked is not None
        planning.write(cursor, locked, leased, [op])  # type: ignore[arg-type]

    step.refresh_from_db()
    assert step.status == (PLANS[kind] if old is StepStatus.CANCELLED else old)
    assert Step.objects.count() == 1
    assert Job.objects.exists() is (old is StepStatus.CANCELLED)
    assert PLANS[kind] in STEP_TRANSITIONS[StepStatus.CANCELLED]


@pytest.mark.parametrize(("old", "new"), [*itertools.product(WaitStatus, WAIT_ENDS)])
def test_wait_is_closed_from_open_only(empty: None, old: WaitStatus, new: WaitStatus) -> None:
    run, step = step_in(StepStatus.WAITING)
    wait = Wait.objects.create(
        run=run, step=step, kind=WaitKind.EVENT, event_name="sim/go", status=old,
        floor_seq=0, expires_at=transactions.now(),
        created_at=transactions.now(),
    )  # fmt: skip

    pieces.close_waits([wait.pk], status=new, now=transactions.now())

    wait.refresh_from_db()
    assert wait.status == (new if new in WAIT_TRANSITIONS[old] or new == old else old)


def test_wait_has_no_other_statuses() -> None:
    assert set(WAIT_ENDS) == set(WaitStatus) - {WaitStatus.OPEN}


@pytest.mark.parametrize(("old", "new"), [*itertools.product(StepStatus, SETTLED)])
def test_step_is_settled_from_open_only(empty: None, old: StepStatus, new: StepStatus) -> None:
    _, step = step_in(old)

    with transactions.write() as cursor:
        was_open = hot_path.settle_step(
            cursor, step.pk, status=new, output=None, error=None, revision=1,
            now=transactions.now(),
        )  # fmt: skip

    step.refresh_from_db()
    may = old in STEP_OPEN and new in STEP_TRANSITIONS[old]
    assert was_open is may
    assert step.status == (new if may else old)


@pytest.mark.parametrize("old", StepStatus)
def test_step_begins_from_planned_only(empty: None, old: StepStatus) -> None:
    run, step = step_in(old)
    now = transactions.now()
    job = Job.objects.create(
        run=run, step=step, kind=JobKind.STEP, function_id="sim-plain", lease_token=7,
        available_at=now, next_hint_at=now,
    )  # fmt: skip

    leased = types.SimpleNamespace(run_id=run.pk, step_id=step.pk, job_id=job.pk, token=7)
    hot_path.begin_and_load(leased)  # type: ignore[arg-type]

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
