"""The table of statuses, against every statement that moves a run, a step or a wait.

Each is tried on a row of every status. It must do what the table allows and what it is for,
and leave all other rows as they are. ``tests/simulation/test_transitions.py`` does the same
for what is only reached through other operations, on SQLite.
"""

from __future__ import annotations

import contextlib
import dataclasses
import types
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from inngest_django import ids
from inngest_django.drivers.base import Discovered, Op, Raised
from inngest_django.engine import hot_path, outcomes, pieces, runs, transactions
from inngest_django.engine.hot_path import NewStep, WaitMatch
from inngest_django.errors import ErrorValue
from inngest_django.models import Job, Run, Step, Wait, WaitStatus
from inngest_django.states import (
    RUN_LIVE,
    RUN_TRANSITIONS,
    STEP_OPEN,
    STEP_TRANSITIONS,
    JobKind,
    OpKind,
    RunStatus,
    StepStatus,
)
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = 7
GONE = frozenset({StepStatus.CANCELLED})
ERROR = ErrorValue(code="unknown", name="Error", message="failed", stack=None)


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """A run with one step and the job that a worker holds."""

    run: Run
    step: Step
    job: Job
    wait: Wait

    @property
    def leased(self) -> Any:
        """What the worker knows of its job."""
        return types.SimpleNamespace(
            job_id=self.job.pk,
            token=TOKEN,
            kind=JobKind(self.job.kind),
            step_id=self.step.pk,
            run_id=self.run.pk,
            function_id=self.run.function_id,
            attempt=0,
            has_open_pieces=True,
            now=transactions.now(),
        )

    @property
    def statuses(self) -> tuple[RunStatus, StepStatus, WaitStatus]:
        """As they are in the database now."""
        for row in (self.run, self.step, self.wait):
            row.refresh_from_db()
        return (
            RunStatus(self.run.status),
            StepStatus(self.step.status),
            WaitStatus(self.wait.status),
        )


def piece(
    run_status: RunStatus = RunStatus.RUNNING,
    step_status: StepStatus = StepStatus.RUNNING,
    wait_status: WaitStatus = WaitStatus.OPEN,
    *,
    kind: JobKind = JobKind.STEP,
) -> Piece:
    run = factories.run(run_status)
    step = factories.step(run, "a", step_status)
    wait = factories.wait(run, step=step, status=wait_status)
    of = None if kind is JobKind.ENTER else step
    return Piece(run, step, factories.leased_job(run, step=of, kind=kind, lease_token=TOKEN), wait)


# ------------------------------------------------------------------------------------ movers


def settle_and_join(found: Piece, to: StepStatus) -> None:
    hot_path.settle_and_join(found.leased, status=to, output="1", error=None)


def settle_matches(found: Piece, to: StepStatus) -> None:
    event = factories.event("test/go")
    match = WaitMatch(found.wait.pk, found.step.pk, found.run.pk, event.pk)
    hot_path.settle_matches([match], outputs={event.pk: "{}"})


def settle_step(found: Piece, to: StepStatus) -> None:
    with transactions.write() as cursor:
        now = transactions.now()
        hot_path.settle_step(
            cursor, found.step.pk, status=to, output=None, error=None, revision=1, now=now
        )


def new_step(found: Piece, status: StepStatus) -> NewStep:
    return NewStep(
        hashed_id=found.step.hashed_id, name="a", index=0, op=OpKind.STEP_RUN, status=status,
        input=None, output=None, error=None, attempt_count=1, started_at=None,
    )  # fmt: skip


def record_and_enter(found: Piece, to: StepStatus) -> None:
    with contextlib.suppress(TypeError):  # No row came back.
        hot_path.record_and_enter(found.leased, new_step(found, to))


def record_and_go_on(found: Piece, to: StepStatus) -> None:
    with contextlib.suppress(TypeError):
        hot_path.record_and_go_on(found.leased, new_step(found, to), ttl=10)


def insert_settled_step(found: Piece, to: StepStatus) -> None:
    with contextlib.suppress(TypeError), transactions.write() as cursor:
        hot_path.insert_settled_step(
            cursor, found.run.pk, new_step(found, to), revision=1, now=transactions.now()
        )


def lease(found: Piece, to: object) -> None:
    """By a worker that knows the function and expects a planned step."""
    Job.objects.filter(pk=found.job.pk).update(lease_token=None, leased_until=None)
    hot_path.lease(
        found.job.pk, token=ids.new_token(), owner="me", ttl=10, is_draining=False,
        known=[found.run.function_id], expects_step=True,
    )  # fmt: skip


def begin_and_load(found: Piece, to: StepStatus) -> None:
    hot_path.begin_and_load(found.leased)


def begin_step(found: Piece, to: StepStatus) -> None:
    hot_path.begin_step(found.step.pk, found.job.pk, TOKEN)


def retry_of_the_body(found: Piece, to: StepStatus) -> None:
    op = Op(kind=OpKind.STEP_ERROR, hashed_id=found.step.hashed_id, name="a", error=ERROR)
    outcomes.report(found.leased, Discovered(ops=(op,)), max_attempts=4)


def retry_of_the_code_around_it(found: Piece, to: StepStatus) -> None:
    outcomes.report(found.leased, Raised(error=ERROR), max_attempts=4)


def target_that_was_not_met(found: Piece, to: StepStatus) -> None:
    outcomes.report(found.leased, Discovered(target_missing=True), max_attempts=4)


def close_all(found: Piece, to: StepStatus) -> None:
    with transactions.write():
        pieces.close_all(found.run.pk, now=transactions.now())


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Mover:
    """A statement that moves steps.

    Attributes:
        of: The statuses that it is about. Of these the table decides.
        is_exchange: It is only there where several statements go together.
        looks_at_run: It says itself that the run must be live; others have asked before.
    """

    work: Callable[[Piece, StepStatus], None]
    to: Iterable[StepStatus]
    of: frozenset[StepStatus] = STEP_OPEN
    kind: JobKind = JobKind.STEP
    is_exchange: bool = False
    looks_at_run: bool = False


RESULTS = (StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.TIMED_OUT)
RECORDED = (StepStatus.COMPLETED, StepStatus.FAILED)
MOVERS = (
    Mover(work=settle_and_join, to=RESULTS, is_exchange=True, looks_at_run=True),
    Mover(work=settle_matches, to=[StepStatus.COMPLETED], kind=JobKind.WAIT, is_exchange=True,
          looks_at_run=True),
    Mover(work=record_and_enter, to=RECORDED, of=GONE, kind=JobKind.ENTER, is_exchange=True,
          looks_at_run=True),
    Mover(work=record_and_go_on, to=RECORDED, of=GONE, kind=JobKind.ENTER, is_exchange=True,
          looks_at_run=True),
    Mover(work=lease, to=[StepStatus.RUNNING], is_exchange=True, looks_at_run=True),
    Mover(work=settle_step, to=RESULTS),
    Mover(work=insert_settled_step, to=RECORDED, of=GONE),
    Mover(work=begin_step, to=[StepStatus.RUNNING]),
    Mover(work=begin_and_load, to=[StepStatus.RUNNING]),
    Mover(work=retry_of_the_body, to=[StepStatus.PLANNED], looks_at_run=True),
    Mover(work=retry_of_the_code_around_it, to=[StepStatus.PLANNED], looks_at_run=True),
    Mover(work=target_that_was_not_met, to=[StepStatus.CANCELLED], looks_at_run=True),
    Mover(work=close_all, to=[StepStatus.CANCELLED]),
)  # fmt: skip


def _cases(*, of_live_runs: bool = False) -> list[Any]:
    return [
        pytest.param(
            mover, to, id=f"{mover.work.__name__} {to}",
            marks=[pytest.mark.postgres] if mover.is_exchange else [],
        )
        for mover in MOVERS
        for to in mover.to
        if mover.looks_at_run or not of_live_runs
    ]  # fmt: skip


@pytest.mark.parametrize(("mover", "to"), _cases())
def test_step_moves_as_the_table_says(mover: Mover, to: StepStatus) -> None:
    moved = {}
    for old in StepStatus:
        found = piece(step_status=old, kind=mover.kind)
        mover.work(found, to)
        run_status, moved[old], _ = found.statuses
        assert run_status is RunStatus.RUNNING

    assert moved == {
        old: to if old in mover.of and to in STEP_TRANSITIONS[old] else old for old in StepStatus
    }


@pytest.mark.parametrize(("mover", "to"), _cases(of_live_runs=True))
def test_step_of_a_run_that_ended_stays(mover: Mover, to: StepStatus) -> None:
    [old] = [s for s in (StepStatus.WAITING, *StepStatus) if s in mover.of
             and to in STEP_TRANSITIONS[s]][:1]  # fmt: skip
    moved = {}
    for run_status in RunStatus:
        found = piece(run_status, old, kind=mover.kind)
        mover.work(found, to)
        moved[run_status] = found.statuses[1]

    assert moved == {status: to if status in RUN_LIVE else old for status in RunStatus}


def test_every_change_that_the_table_allows_has_a_mover() -> None:
    """Planning, the one that is not here, opens steps again that had gone from the code."""
    moved = {
        (old, to)
        for mover in MOVERS
        for to in mover.to
        for old in mover.of
        if to in STEP_TRANSITIONS[old]
    }
    planned = {
        (StepStatus.CANCELLED, StepStatus.PLANNED),
        (StepStatus.CANCELLED, StepStatus.WAITING),
    }

    assert moved | planned == {(old, to) for old, all_ in STEP_TRANSITIONS.items() for to in all_}


@pytest.mark.postgres
def test_wait_is_matched_from_open_only() -> None:
    moved = {}
    for old in WaitStatus:
        found = piece(wait_status=old, step_status=StepStatus.WAITING, kind=JobKind.WAIT)
        settle_matches(found, StepStatus.COMPLETED)
        _, step_status, moved[old] = found.statuses
        assert (step_status is StepStatus.COMPLETED) is (old is WaitStatus.OPEN)

    assert moved == {**{old: old for old in WaitStatus}, WaitStatus.OPEN: WaitStatus.MATCHED}


# -------------------------------------------------------------------------------------- runs


def complete_run(run: Run, to: RunStatus) -> None:
    """Of a run that holds nothing but its entry."""
    job = factories.leased_job(run, lease_token=TOKEN)
    leased: Any = types.SimpleNamespace(job_id=job.pk, token=TOKEN, run_id=run.pk)
    hot_path.complete_run(
        leased, output="1", event_id=ids.new_ulid(), event_name="test/ended", event_data="{}"
    )


def lease_of_the_entry(run: Run, to: RunStatus) -> None:
    job = factories.job(run)
    hot_path.lease(
        job.pk, token=TOKEN, owner="me", ttl=10, is_draining=False, known=[run.function_id]
    )


def begin_run(run: Run, to: RunStatus) -> None:
    hot_path.begin_run(run.pk)


def end(run: Run, to: RunStatus) -> None:
    with transactions.write() as cursor:
        locked = hot_path.lock_run(cursor, run.pk)
        assert locked is not None
        runs.end(locked, status=to)


@pytest.mark.parametrize(
    ("work", "to"),
    [
        pytest.param(complete_run, RunStatus.COMPLETED, marks=pytest.mark.postgres),
        pytest.param(lease_of_the_entry, RunStatus.RUNNING, marks=pytest.mark.postgres),
        (begin_run, RunStatus.RUNNING),
        (end, RunStatus.COMPLETED),
        (end, RunStatus.FAILED),
        (end, RunStatus.CANCELLED),
    ],
)
def test_run_moves_as_the_table_says(work: Callable[[Run, RunStatus], None], to: RunStatus) -> None:
    moved = {}
    for old in RunStatus:
        run = factories.run(old)
        work(run, to)
        run.refresh_from_db()
        moved[old] = run.status

    assert moved == {old: to if to in RUN_TRANSITIONS[old] else old for old in RunStatus}
