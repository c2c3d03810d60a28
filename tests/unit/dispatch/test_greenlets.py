"""Pools of greenlets: which workers are refused, and which are left alone."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from celery.concurrency.solo import TaskPool as SoloPool
from celery.concurrency.thread import TaskPool as ThreadPool
from django.test import override_settings

from inngest_django.dispatch import greenlets, worker

GreenPool = type("TaskPool", (), {"__module__": "celery.concurrency.gevent"})
QUEUES = {"QUEUE": "q", "CONTROL_QUEUE": "c", "QUEUES": {"shop-*": "slow"}}

pytestmark = pytest.mark.usefixtures("queues")


@pytest.fixture
def queues() -> Any:
    with override_settings(INNGEST=QUEUES):
        yield


def _worker(pool: Any, *consumed: str) -> Any:
    queues = SimpleNamespace(consume_from=dict.fromkeys(consumed))
    return SimpleNamespace(
        pool_cls=pool, app=SimpleNamespace(amqp=SimpleNamespace(queues=queues), _fixups=())
    )


def _module(name: str, question: str, patched: str) -> ModuleType:
    module = ModuleType(name)
    setattr(module, question, lambda part: part == patched)
    return module


@pytest.mark.parametrize("pool", ["gevent", "celery.concurrency.gevent:TaskPool", GreenPool])
@pytest.mark.parametrize("queue", ["q", "c", "slow"])
def test_worker_on_gevent_may_not_take_our_queues(pool: Any, queue: str) -> None:
    with pytest.raises(SystemExit, match=f"gevent.*would take {queue}\\..*-P prefork"):
        greenlets.refuse(_worker(pool, "mail", queue))


def test_eventlet_is_refused_too() -> None:
    with pytest.raises(SystemExit, match="eventlet"):
        greenlets.refuse(_worker("eventlet", "q"))


@pytest.mark.parametrize(
    ("library", "name", "question", "patched"),
    [
        ("gevent", "gevent.monkey", "is_module_patched", "threading"),
        ("eventlet", "eventlet.patcher", "is_monkey_patched", "thread"),
    ],
)
def test_threads_that_are_greenlets_are_refused(
    monkeypatch: pytest.MonkeyPatch, library: str, name: str, question: str, patched: str
) -> None:
    monkeypatch.setitem(sys.modules, name, _module(name, question, patched))

    with pytest.raises(SystemExit, match=library):
        greenlets.refuse(_worker(ThreadPool, "q"))


def test_a_library_that_patched_other_things_is_none_of_our_business(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = _module("gevent.monkey", "is_module_patched", "subprocess")
    monkeypatch.setitem(sys.modules, "gevent.monkey", module)

    assert greenlets.refuse(_worker(ThreadPool, "q")) is False


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo", ThreadPool, SoloPool])
def test_other_pools_take_our_queues(pool: Any) -> None:
    assert greenlets.refuse(_worker(pool, "q", "c", "slow")) is False


def test_worker_of_other_queues_keeps_its_greenlets_and_gets_no_ticker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "_main", worker._Process())
    monkeypatch.setattr(worker.connections, "keep_open", lambda _: pytest.fail("it took over"))

    worker.on_init(sender=_worker("gevent", "mail"))
    worker.on_ready()

    assert worker._main.ticker is None
