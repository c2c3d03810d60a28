"""Connections between tasks: ours stay open, others are as Celery's fix-up has them."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator

import pytest
from celery import Celery, signals
from celery.fixups.django import DjangoFixup
from django.db import OperationalError, connection

from inngest_django.dispatch import connections
from inngest_django.dispatch.tasks import EXECUTE

_names = itertools.count()


class Task:
    def __init__(self, name: str, *, is_eager: bool = False) -> None:
        self.name = name
        self.request = type("Request", (), {"is_eager": is_eager})()


class Worker:
    pool_cls = "prefork"

    def __init__(self, app: Celery) -> None:
        self.app = app


@pytest.fixture(autouse=True)
def _plenty() -> Iterator[None]:
    """No connection has failed."""
    connections.forget_failure()
    yield
    connections.forget_failure()


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the fix-up closed."""
    return []


@pytest.fixture
def fixup(closed: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[DjangoFixup]:
    """The fix-up of an app of its own; afterwards no receiver of this test is left."""
    before = {s: list(s.receivers) for s in (signals.task_prerun, signals.task_postrun)}
    for signal in before:
        signal.receivers = []
        signal.sender_receivers_cache.clear()
    app = Celery(f"connections-{next(_names)}", set_as_current=False)
    fixup = DjangoFixup(app)
    app._fixups = [fixup]
    fixup.app = app
    monkeypatch.setattr(fixup.worker_fixup, "close_database", lambda **_: closed.append("all"))
    monkeypatch.setattr(fixup.worker_fixup, "close_cache", lambda: None)
    yield fixup
    for signal, receivers in before.items():
        signal.receivers = receivers
        signal.sender_receivers_cache.clear()


def _install(fixup: DjangoFixup) -> None:
    fixup.on_worker_init(sender=Worker(fixup.app))


def _keep_open(fixup: DjangoFixup) -> None:
    connections.keep_open(fixup.app)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "order",
    [
        [_install, _keep_open],
        [_keep_open, _install],
        [_install, _keep_open, _install, _keep_open],
    ],
    ids=["after the fix-up", "before the fix-up", "twice"],
)
def test_fixup_closes_around_foreign_tasks_only(
    fixup: DjangoFixup, closed: list[str], order: list[Callable[[DjangoFixup], None]]
) -> None:
    for install in order:
        install(fixup)
    closed.clear()

    for signal in (signals.task_prerun, signals.task_postrun):
        signal.send(sender=Task(EXECUTE))
    assert closed == []

    for signal in (signals.task_prerun, signals.task_postrun):
        signal.send(sender=Task("shop.send_invoice"))
    assert closed == ["all", "all"]


@pytest.mark.django_db(transaction=True)
def test_connection_that_a_task_opened_is_looked_at_before_the_next(
    fixup: DjangoFixup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a thread that had none before its first task."""
    _keep_open(fixup)
    monkeypatch.setattr(connections, "OLDEST", -1.0)
    was_open: list[bool] = []

    def work() -> None:
        connections.close_unfit()
        connection.ensure_connection()
        was_open.append(connection.connection is not None)
        connections.close_unfit()
        was_open.append(connection.connection is not None)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert was_open == [True, False]


@pytest.mark.django_db(transaction=True)
def test_well_connection_stays_open(fixup: DjangoFixup) -> None:
    _keep_open(fixup)
    connection.ensure_connection()
    raw = connection.connection

    for _ in range(3):
        signals.task_prerun.send(sender=Task(EXECUTE))
        signals.task_postrun.send(sender=Task(EXECUTE))

    assert connection.connection is raw


@pytest.mark.django_db(transaction=True)
def test_old_connection_is_closed(fixup: DjangoFixup, monkeypatch: pytest.MonkeyPatch) -> None:
    _keep_open(fixup)
    connection.close()
    connection.ensure_connection()
    raw = connection.connection
    monkeypatch.setattr(connections, "OLDEST", -1.0)

    signals.task_prerun.send(sender=Task(EXECUTE))

    assert connection.connection is not raw


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "doubt", ["error", "idleness"], ids=["after an error", "after a long pause"]
)
def test_broken_connection_is_closed(
    fixup: DjangoFixup, monkeypatch: pytest.MonkeyPatch, doubt: str
) -> None:
    _keep_open(fixup)
    connection.close()
    connection.ensure_connection()
    raw = connection.connection
    if doubt == "error":
        connection.errors_occurred = True
    else:
        monkeypatch.setattr(connections, "IDLE", -1.0)
    monkeypatch.setattr(connection, "is_usable", lambda: False)

    signals.task_prerun.send(sender=Task(EXECUTE))

    assert connection.connection is not raw


@pytest.mark.django_db(transaction=True)
def test_error_that_left_the_connection_usable_does_not_close_it(fixup: DjangoFixup) -> None:
    _keep_open(fixup)
    connection.ensure_connection()
    raw, connection.errors_occurred = connection.connection, True

    signals.task_prerun.send(sender=Task(EXECUTE))

    assert connection.connection is raw
    assert connection.errors_occurred is False


@pytest.mark.sqlite  # PostgreSQL's own backend would look for its pool
@pytest.mark.django_db(transaction=True)
def test_connection_of_a_pool_is_returned(
    fixup: DjangoFixup, monkeypatch: pytest.MonkeyPatch
) -> None:
    _keep_open(fixup)
    connection.ensure_connection()
    monkeypatch.setitem(
        connection.settings_dict, "OPTIONS", {**connection.settings_dict["OPTIONS"], "pool": True}
    )

    signals.task_postrun.send(sender=Task(EXECUTE))

    assert connection.connection is None


@pytest.mark.django_db
def test_eager_task_leaves_its_callers_connection_alone(
    fixup: DjangoFixup, monkeypatch: pytest.MonkeyPatch
) -> None:
    _keep_open(fixup)
    monkeypatch.setattr(connections, "OLDEST", -1.0)

    signals.task_prerun.send(sender=Task(EXECUTE, is_eager=True))
    signals.task_postrun.send(sender=Task(EXECUTE, is_eager=True))

    assert connection.connection is not None


def _refuse() -> None:
    raise OperationalError("FATAL: too many connections for role")


@pytest.mark.django_db(transaction=True)
def test_connections_are_given_back_while_the_database_admits_too_few(
    fixup: DjangoFixup, monkeypatch: pytest.MonkeyPatch
) -> None:
    _keep_open(fixup)
    connection.close()
    with monkeypatch.context() as patched:
        patched.setattr(connection, "ensure_connection", _refuse)
        signals.task_prerun.send(sender=Task(EXECUTE))
    connection.ensure_connection()

    signals.task_postrun.send(sender=Task(EXECUTE))

    assert connection.connection is None
    monkeypatch.setattr(connections, "SCARCE_FOR", -1.0)
    signals.task_prerun.send(sender=Task(EXECUTE))
    signals.task_postrun.send(sender=Task(EXECUTE))
    assert connection.connection is not None


def test_what_one_process_of_a_worker_notes_all_of_them_know() -> None:
    assert not connections.are_scarce()

    pid = os.fork()
    if pid == 0:
        connections.note_failure()
        os._exit(0)
    os.waitpid(pid, 0)

    assert connections.are_scarce()
