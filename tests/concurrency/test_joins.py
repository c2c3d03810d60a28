"""Last branches that end together, and entries that load while pieces settle."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from inngest_django.engine import cancellation, executor, hot_path, memo_cache
from inngest_django.errors import StepError
from inngest_django.models import Job, Run
from inngest_django.states import STEP_SETTLED
from inngest_django.steps.groups import ParallelMode
from tests.concurrency.stage import BOTH_WAYS, Stage
from tests.engine.support import Engine, assert_sound

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("way")]


def jobs_of(run: Run) -> dict[str, int]:
    return {job.step.name: job.pk for job in Job.objects.filter(run=run, kind="step")}


# Row 11: the run's lock is a statement of its own; what it decides comes in later ones.


def _join(engine: Engine, stage: Stage, run: Run) -> Run:
    jobs = jobs_of(run)
    left = stage.actor(lambda: executor.execute(jobs["left"]), "left").stop_at("outcome.written")
    left.start().paused()
    right = stage.actor(lambda: executor.execute(jobs["right"]), "right").start().blocked()
    left.go().done()
    right.done()
    engine.jobs = [hint for hint in engine.jobs if hint.job_id not in jobs.values()]
    return run


def test_two_last_branches_leave_one_entry(
    engine: Engine, stage: Stage, planned: Callable[..., Run]
) -> None:
    run = _join(engine, stage, planned())

    assert [job.kind for job in Job.objects.filter(run=run)] == ["enter"]
    engine.idle()
    run.refresh_from_db()
    assert run.output == ["left", "right"]
    assert_sound(run)


def test_branches_that_lock_and_decide_in_one_statement_leave_none(
    engine: Engine, stage: Stage, planned: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    decided = threading.local()
    lock_run = hot_path.lock_run

    def lock_and_decide(cursor: Any, run_id: str) -> Any:
        # Whether one other piece than the caller's own is left, as its snapshot has it.
        cursor.execute(
            "SELECT (SELECT count(*) FROM inngest_job j WHERE j.run_id = r.id"
            " AND j.kind <> 'enter') <= 1 FROM inngest_run r WHERE r.id = %s FOR NO KEY UPDATE",
            (run_id,),
        )
        [decided.is_last] = cursor.fetchone()
        return lock_run(cursor, run_id)

    monkeypatch.setattr(hot_path, "lock_run", lock_and_decide)
    monkeypatch.setattr(hot_path, "must_enter", lambda cursor, run_id: decided.is_last)
    run = _join(engine, stage, planned())

    run.refresh_from_db()
    assert run.is_live
    assert not Job.objects.filter(run=run).exists()


def test_many_last_branches_leave_one_entry(
    engine: Engine, stage: Stage, planned: Callable[..., Run]
) -> None:
    """All of them have run their bodies and stand before the lock; then all go at once."""
    names = [f"branch {number}" for number in range(8)]
    run = planned(names)
    bodies = [functools.partial(executor.execute, job_id) for job_id in jobs_of(run).values()]
    stage.go_at_once("call.end", bodies)

    assert [job.kind for job in Job.objects.filter(run=run)] == ["enter"]
    engine.idle()
    run.refresh_from_db()
    assert run.output == names


# Rows 12 and 13: an entry learns of pieces before results, and of a live run with both.


def _enter_while(engine: Engine, stage: Stage, declare: Any, calls: list[str], then: Any) -> Run:
    """Stop the entry that a race's loser leads to after its lease, do ``then``, go on.

    Meanwhile ``second``, which follows the race, has a job of its own.
    """

    @declare(retries=0)
    def race(ctx):
        def fails() -> None:
            raise ValueError("decides the race")

        def second() -> str:
            calls.append("second")
            return "second"

        try:
            ctx.group.parallel(
                (lambda: ctx.step.run("loser", lambda: 1), lambda: ctx.step.run("fails", fails)),
                parallel_mode=ParallelMode.RACE,
            )
        except StepError:
            return ctx.step.run("second", second)

    event_id = engine.send("test/started")
    engine.step()
    engine.step()
    run = engine.run_of(event_id)
    jobs = jobs_of(run)
    executor.execute(jobs["fails"])
    executor.execute(Job.objects.get(run=run, kind="enter").pk)
    executor.execute(jobs["loser"])
    enter_id = Job.objects.get(run=run, kind="enter").pk
    entry = stage.actor(lambda: executor.execute(enter_id), "entry").stop_at("lease.taken")
    entry.start().paused()
    then(run, jobs_of(run)["second"])
    entry.go().done()
    engine.idle()
    run.refresh_from_db()
    assert_sound(run)
    return run


def _settle(run: Run, job_id: int) -> None:
    executor.execute(job_id)


@BOTH_WAYS
def test_piece_that_settles_while_an_entry_loads_is_not_run_again(
    engine: Engine, stage: Stage, declare: Any
) -> None:
    calls: list[str] = []

    run = _enter_while(engine, stage, declare, calls, _settle)

    assert run.status == "completed"
    assert run.output == "second"
    assert calls == ["second"]


@BOTH_WAYS
def test_results_loaded_before_the_pieces_let_a_body_run_again(
    engine: Engine, stage: Stage, declare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    older: dict[str, Any] = {}
    steps_of, request_of = memo_cache.steps_of, executor._request

    def settle(run: Run, job_id: int) -> None:
        # The results as they are before the piece settles, the pieces as they are after it.
        rows = hot_path.load_steps(run.id, after=0)
        settled = [row for row in rows if row.status in STEP_SETTLED]
        older[run.id] = memo_cache.Steps(
            {
                row.hashed_id: memo_cache._memo(row, row.revision or 0, output=row.output)
                for row in settled
            },
            {},
            frozenset(),
        )
        executor.execute(job_id)

    def request(leased: Any, *args: Any, **kwargs: Any) -> Any:
        is_open = Job.objects.filter(run_id=leased.run_id).exclude(kind="enter").exists()
        return request_of(dataclasses.replace(leased, has_open_pieces=is_open), *args, **kwargs)

    def load(leased: Any) -> Any:
        is_entry = leased.kind == "enter" and leased.run_id in older
        return older.pop(leased.run_id) if is_entry else steps_of(leased)

    monkeypatch.setattr(memo_cache, "steps_of", load)
    monkeypatch.setattr(executor, "_request", request)
    # What the entry then reports is refused: the step has its one result.
    with contextlib.suppress(TypeError):
        _enter_while(engine, stage, declare, calls, settle)

    assert calls == ["second", "second"]


def _cancel_while_it_runs(stage: Stage) -> Any:
    def then(run: Run, job_id: int) -> None:
        body = stage.actor(lambda: executor.execute(job_id), "body").stop_at("call.end")
        body.start().paused()
        assert cancellation.cancel(run.id)
        body.go().done()

    return then


@BOTH_WAYS
def test_entry_that_loads_while_the_run_is_cancelled_runs_no_body(
    engine: Engine, stage: Stage, declare: Any
) -> None:
    calls: list[str] = []

    run = _enter_while(engine, stage, declare, calls, _cancel_while_it_runs(stage))

    assert run.status == "cancelled"
    assert calls == ["second"]


@BOTH_WAYS
def test_pieces_read_after_a_cancel_let_a_body_run_again(
    engine: Engine, stage: Stage, declare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    request_of = executor._request

    def request(leased: Any, *args: Any, **kwargs: Any) -> Any:
        is_open = Job.objects.filter(run_id=leased.run_id).exclude(kind="enter").exists()
        return request_of(dataclasses.replace(leased, has_open_pieces=is_open), *args, **kwargs)

    monkeypatch.setattr(executor, "_request", request)
    _enter_while(engine, stage, declare, calls, _cancel_while_it_runs(stage))

    assert calls == ["second", "second"]
