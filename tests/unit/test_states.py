"""Statuses: the sets and the reverse look-up agree with the tables of transitions."""

from __future__ import annotations

from inngest_django.states import (
    RUN_ENDED,
    RUN_LIVE,
    RUN_TRANSITIONS,
    STEP_OPEN,
    STEP_SETTLED,
    STEP_TRANSITIONS,
    RunStatus,
    StepStatus,
    sources,
)


def test_every_status_has_a_row() -> None:
    assert set(RUN_TRANSITIONS) == set(RunStatus)
    assert set(STEP_TRANSITIONS) == set(StepStatus)


def test_a_run_lives_until_nothing_can_follow() -> None:
    assert {RunStatus.QUEUED, RunStatus.RUNNING} == RUN_LIVE
    assert {
        RunStatus.COMPLETED,
        RunStatus.FAILED,
        RunStatus.CANCELLED,
        RunStatus.SKIPPED,
    } == RUN_ENDED


def test_steps_are_open_settled_or_cancelled() -> None:
    assert not STEP_OPEN & STEP_SETTLED
    assert set(StepStatus) - STEP_OPEN - STEP_SETTLED == {StepStatus.CANCELLED}


def test_nothing_follows_a_settled_step() -> None:
    assert {status for status, to in STEP_TRANSITIONS.items() if not to} == STEP_SETTLED


def test_every_open_step_can_settle_and_be_cancelled() -> None:
    for status in STEP_OPEN:
        assert STEP_TRANSITIONS[status] >= {
            StepStatus.COMPLETED,
            StepStatus.FAILED,
            StepStatus.CANCELLED,
        }


def test_sources_turn_the_table_around() -> None:
    assert sources(RUN_TRANSITIONS, RunStatus.QUEUED) == frozenset()
    assert sources(RUN_TRANSITIONS, RunStatus.RUNNING) == {RunStatus.QUEUED}
    assert sources(RUN_TRANSITIONS, RunStatus.COMPLETED) == {RunStatus.RUNNING}
    assert sources(RUN_TRANSITIONS, RunStatus.CANCELLED) == RUN_LIVE
    assert sources(STEP_TRANSITIONS, StepStatus.TIMED_OUT) == {StepStatus.WAITING}
