"""The tasks: what they accept, refuse, and ask of Celery."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from celery import Celery
from django.db import OperationalError

import inngest_django.tasks
from inngest_django.dispatch import tasks
from inngest_django.engine import executor, recovery, retention, routing

ALL = [tasks.execute, tasks.route, tasks.tick, tasks.prune]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    made: list[tuple[Any, ...]] = []
    monkeypatch.setattr(
        executor, "execute", lambda *args, **how: made.append(("execute", *args, how))
    )
    monkeypatch.setattr(routing, "route", lambda: made.append(("route",)))
    monkeypatch.setattr(recovery, "tick", lambda: made.append(("tick",)))
    monkeypatch.setattr(retention, "prune_in_turns", lambda n: made.append(("prune", n)))
    return made


def test_each_task_calls_its_engine_function(calls: list[tuple[Any, ...]]) -> None:
    tasks.execute.run(7)
    tasks.route.run()
    tasks.tick.run()
    tasks.prune.run()
    tasks.prune.run(3)

    assert calls == [
        ("execute", 7, {"goes_on": True}),
        ("route",),
        ("tick",),
        ("prune", None),
        ("prune", 3),
    ]


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        (("7",), {}),
        ((7.0,), {}),
        ((True,), {}),
        ((None,), {}),
        ((0,), {}),
        ((-1,), {}),
        ((2**63,), {}),
        ((7, 8), {}),
        (({"id": 7},), {}),
        (([7],), {}),
        ((7,), {"version": 2}),
        ((), {"job_id": 7}),
    ],
)
def test_execute_refuses_what_is_no_job_id_and_says_so(
    calls: list[tuple[Any, ...]],
    caplog: pytest.LogCaptureFixture,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    tasks.execute.run(*args, **kwargs)

    assert calls == []
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "inngest.execute refused a message" in record.getMessage()


@pytest.mark.parametrize("task", [tasks.route, tasks.tick, tasks.prune], ids=lambda t: t.name)
def test_control_tasks_refuse_arguments(
    calls: list[tuple[Any, ...]], caplog: pytest.LogCaptureFixture, task: Any
) -> None:
    task.run("1")
    task.run(secret="not for the log")

    assert calls == []
    assert len(caplog.records) == 2
    assert "not for the log" not in caplog.text


def test_database_that_does_not_answer_is_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise OperationalError("connection refused\n")

    monkeypatch.setattr(recovery, "tick", fail)

    tasks.tick.run()

    [record] = caplog.records
    assert record.exc_info is None
    assert "connection refused" in record.getMessage()


@pytest.mark.parametrize("task", ALL, ids=lambda t: t.name)
def test_project_settings_do_not_change_how_messages_are_handled(task: Any) -> None:
    app = Celery("other", set_as_current=False)
    app.conf.update(task_acks_late=True, task_ignore_result=False, task_track_started=True)
    theirs = app.tasks[task.name]

    assert theirs.acks_late is False
    assert theirs.ignore_result is True
    assert theirs.max_retries == 0


def test_autodiscovery_finds_every_task() -> None:
    found = {getattr(inngest_django.tasks, name).name for name in inngest_django.tasks.__all__}

    assert found == tasks.NAMES
