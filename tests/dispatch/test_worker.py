"""Real workers: what the pools, their connections and their ends do."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from django.conf import settings
from django.db import connections
from django.test import override_settings

from inngest_django.dispatch.publisher import CeleryPublisher
from inngest_django.engine.hints import JobHint
from inngest_django.functions import registry
from inngest_django.models import Function
from tests import ledger, processes
from tests.dispatch import probe
from tests.processes import Process, wait_until

pytestmark = [pytest.mark.services, pytest.mark.timeout(120)]

_numbers = itertools.count(1)


class Worker:
    """A worker on queues of its own, and a way to reach it."""

    def __init__(self, *arguments: str, **inngest: object) -> None:
        self.key = f"{settings.SESSION}-{next(_numbers)}"
        self.queue = f"{settings.INNGEST['QUEUE']}-probe-{self.key}"
        self._app = Celery("prober", broker=settings.CELERY_BROKER_URL, set_as_current=False)
        self._app.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
        overrides = {"QUEUE": self.queue, "CONTROL_QUEUE": self.queue, **inngest}
        self.process = Process(
            f"probe-{self.key}",
            [
                *(sys.executable, "-m", "celery", "-A", "tests.dispatch.probe", "worker"),
                *("-Q", self.queue, "-n", f"probe-{self.key}@%h", "-l", "INFO", *arguments),
            ],
            {
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "INNGEST_TEST_DATABASE": str(connections["default"].settings_dict["NAME"]),
                "INNGEST_TEST_OVERRIDES": json.dumps(overrides),
                "PROBE_KEY": self.key,
            },
            " ready.",
        )

    def send(self, task: str, *args: object, **options: Any) -> None:
        self._app.send_task(task, args, queue=self.queue, **options)

    def execute(self, job_id: int) -> ledger.Note:
        """Have a job looked at and return what the worker noted."""
        self.send("inngest.execute", job_id)
        return self.note(f"job {job_id}")

    def note(self, what: str, timeout: float = 20) -> ledger.Note:
        return wait_until(
            lambda: next(iter(ledger.notes(self.key, what)), None),
            timeout,
            what=f"note {what!r}",
            explain=self.process.output,
        )

    def end(self) -> None:
        self.process.kill()
        processes.clear_broker(self.queue)


@pytest.fixture
def start(django_db_setup: None, django_db_blocker: Any) -> Iterator[Any]:
    """Start workers that end with the test."""
    with django_db_blocker.unblock(), contextlib.ExitStack() as workers:

        def start_worker(*arguments: str, **inngest: object) -> Worker:
            worker = Worker(*arguments, **inngest)
            workers.callback(worker.end)
            return worker

        yield start_worker


@pytest.mark.postgres
@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_our_tasks_share_a_connection_and_foreign_ones_get_a_new_one(start: Any, pool: str) -> None:
    worker = start("-P", pool, "-c", "1", WORKER_TICK=False)

    ours = {worker.execute(job_id).value for job_id in range(1, 6)}
    foreign = set()
    for job_id in range(11, 14):
        worker.send("probe.foreign", job_id)
        foreign.add(worker.note(f"job {job_id}").value)

    assert len(ours) == 1
    assert len(foreign) == 3


@pytest.mark.postgres
def test_connection_that_the_server_ended_is_replaced(start: Any) -> None:
    worker = start("-P", "prefork", "-c", "1", WORKER_TICK=False)
    before = worker.execute(1).value
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [before])

    # The task that meets the broken connection gives up with one line; the next has another.
    worker.send("inngest.execute", 2)
    after = worker.execute(3).value

    assert after != before
    assert worker.process.is_alive()


def test_messages_that_cannot_be_understood_leave_the_worker_alive(start: Any) -> None:
    worker = start("-P", "prefork", "-c", "1", WORKER_TICK=False)
    worker.send("inngest.execute", "not an id")
    worker.send("inngest.execute")
    worker.send("inngest.execute", 1, kwargs={"version": 9})
    worker.send("inngest.tick", {"old": "format"})
    worker.send("inngest.from_the_future", 1)
    with worker._app.connection_for_write() as connection:
        producer = connection.Producer()
        producer.publish("no task at all", routing_key=worker.queue)
        producer.publish(
            b"\xff\xfe not json",
            routing_key=worker.queue,
            content_type="application/json",
            content_encoding="utf-8",
            headers={"task": "inngest.execute", "id": "x"},
        )

    assert worker.execute(7).what == "job 7"
    assert worker.process.output().count("refused a message") == 4
    assert "inngest.from_the_future" in worker.process.output()


def test_children_of_a_killed_main_process_end(start: Any) -> None:
    worker = start("-P", "prefork", "-c", "2", WORKER_TICK=False)
    worker.execute(probe.HANGS)
    worker.execute(probe.HANGS + 1)
    assert len(worker.process.children()) == 2

    worker.process.kill_main()

    wait_until(lambda: not worker.process.children(), 10, what="end of the orphans")


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_process_that_runs_the_body_learns_of_a_warm_shutdown(start: Any, pool: str) -> None:
    worker = start("-P", pool, "-c", "1", WORKER_TICK=False)
    hanging = worker.execute(probe.HANGS)

    worker.process.send_signal(signal.SIGTERM)

    drained = worker.note(f"job {probe.HANGS} drains")
    assert drained.pid == hanging.pid
    wait_until(lambda: not worker.process.is_alive(), 20, what="end of the worker")


def test_worker_ticks_when_nobody_else_does(start: Any) -> None:
    worker = start("-P", "prefork", "-c", "1", WORKER_TICK=True)

    tick = worker.note("tick")

    # In the main process, by the thread, without any message.
    assert tick.pid == worker.process.pid
    assert tick.value == "inngest-ticker"


def test_worker_tick_can_be_switched_off(start: Any) -> None:
    silent = start("-P", "prefork", "-c", "1", WORKER_TICK=False)
    ticking = start("-P", "prefork", "-c", "1", WORKER_TICK=True)

    ticking.note("tick")
    wait_until(lambda: len(ledger.notes(ticking.key, "tick")) >= 2, 20, what="second tick")

    assert ledger.notes(silent.key, "tick") == []


def test_functions_are_registered_when_a_worker_starts(start: Any) -> None:
    Function.objects.all().delete()

    start("-P", "solo", WORKER_TICK=False)

    assert set(Function.objects.values_list("pk", flat=True)) >= set(registry.all())


@pytest.mark.rabbitmq
def test_message_after_a_lost_amqp_connection_arrives(start: Any) -> None:
    worker = start("-P", "solo", WORKER_TICK=False)
    app = Celery("publisher", broker=settings.CELERY_BROKER_URL, set_as_current=False)
    hints = CeleryPublisher(app)
    hints._breaker.failed = lambda error: pytest.fail(f"it gave up: {error}")
    queues = {"QUEUE": worker.queue, "CONTROL_QUEUE": worker.queue}
    with override_settings(INNGEST=queues):
        assert hints.execute([JobHint(1, "f")])
        worker.note("job 1")
        # As a broker that restarts does it: the end of the stream, seen by nobody yet.
        [producer] = hints._idle._producers
        producer.connection.connection.transport.sock.shutdown(2)
        assert hints.execute([JobHint(2, "f")])

    worker.note("job 2")
    hints.close()


@pytest.fixture
def gevent(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Return the options of a worker whose pool counts as gevent's."""
    monkeypatch.setenv("CELERY_CUSTOM_WORKER_POOL", "tests.dispatch.gevent:TaskPool")
    return ("-P", "custom", "-c", "1")


def test_worker_on_gevent_ends_with_the_remedy(gevent: tuple[str, ...]) -> None:
    with pytest.raises(AssertionError, match="ended at once") as ended:
        Worker(*gevent)

    assert "Start the workers of these queues with `-P prefork` or `-P threads`" in str(ended.value)


def test_worker_of_other_queues_may_be_on_gevent(start: Any, gevent: tuple[str, ...]) -> None:
    worker = start(*gevent, QUEUE="not-here", CONTROL_QUEUE="not-here-either")

    worker.send("probe.foreign", 1)

    worker.note("job 1")


def test_log_of_a_quiet_worker_holds_no_errors(start: Any) -> None:
    worker = start("-P", "prefork", "-c", "1", WORKER_TICK=True)
    worker.execute(1)
    worker.note("tick")
    worker.process.terminate()

    output = worker.process.output()
    assert "Traceback" not in output
    assert "ERROR" not in output
