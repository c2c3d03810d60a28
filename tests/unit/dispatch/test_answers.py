"""Celery's questions to its configuration, answered once for a worker."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from celery import Celery
from celery.app.trace import build_tracer
from celery.concurrency import solo

from inngest_django.dispatch import answers, memory, tasks, worker
from inngest_django.dispatch.publisher import CeleryPublisher
from inngest_django.engine import executor
from inngest_django.engine.hints import JobHint

_names = itertools.count()


class Settings:
    """As Django's: what it does not have it says by an exception."""

    CELERY_BROKER_URL = memory.URL
    CELERY_TASK_REPR_MAXLEVELS = 2

    def __init__(self) -> None:
        self.missed: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            self.missed.append(name)
        raise AttributeError(name)


@pytest.fixture
def settings_object() -> Settings:
    return Settings()


@pytest.fixture
def app(settings_object: Settings) -> Iterator[Celery]:
    """An app that is configured by such an object; its messages stay in this process."""
    memory.register()
    kept = dict(memory.Channel.queues)
    memory.Channel.queues.clear()
    found = Celery(f"answers-{next(_names)}", set_as_current=False)
    found.config_from_object(settings_object, namespace="CELERY")
    found.finalize()
    yield found
    memory.Channel.queues.clear()
    memory.Channel.queues.update(kept)


def _questions(app: Celery, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a task that publishes a message asks the settings for, once all is warm."""
    publisher = CeleryPublisher(app)
    monkeypatch.setattr(executor, "execute", lambda _, **how: publisher.execute([JobHint(7, "f")]))
    task = app.tasks[tasks.EXECUTE]
    trace = build_tracer(task.name, task, app=app)
    for _ in range(2):
        settings.missed.clear()
        trace("id", (7,), {}, {"id": "id", "task": task.name, "ignore_result": True})
    publisher.close()
    return settings.missed


def test_a_message_asks_for_nothing_any_more(
    app: Celery, settings_object: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "CELERY_TASK_ALWAYS_EAGER" in _questions(app, settings_object, monkeypatch)

    answers.keep(app)

    assert _questions(app, settings_object, monkeypatch) == []


def test_answers_are_those_of_the_project(app: Celery) -> None:
    before = {name: app.conf[name] for name in answers.ASKED}

    answers.keep(app)

    assert {name: app.conf[name] for name in answers.ASKED} == before
    assert before["task_repr_maxlevels"] == 2


def test_answers_are_forgotten_with_the_worker(app: Celery) -> None:
    app.conf.task_send_sent_event = True
    forget = answers.keep(app)

    forget()
    Settings.CELERY_TASK_REPR_MAXLEVELS, was = 3, Settings.CELERY_TASK_REPR_MAXLEVELS
    try:
        assert app.conf.task_repr_maxlevels == 3
    finally:
        Settings.CELERY_TASK_REPR_MAXLEVELS = was
    assert app.conf.task_send_sent_event is True


@pytest.mark.django_db
def test_a_worker_keeps_them_while_it_lives(app: Celery) -> None:
    worker.on_init(sender=mock.Mock(app=app, pool_cls=solo.TaskPool))
    during = set(app.conf.maps[0])
    worker.on_shutdown()

    assert set(answers.ASKED) <= during
    assert not set(answers.ASKED) & set(app.conf.maps[0])
