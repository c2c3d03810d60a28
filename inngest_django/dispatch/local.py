"""Worker and beat as threads of this process: real Celery tasks, no server.

For development (``inngest_dev``), demos and tests. The project's Celery app is used if it has
one, with its broker replaced while the stack runs; otherwise one is made from the settings.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

from celery import Celery, _state
from celery.beat import ScheduleEntry, Scheduler, Service
from celery.worker import WorkController
from django.apps import apps

from inngest_django import conf
from inngest_django.dispatch import connections, memory, tasks, worker
from inngest_django.dispatch.pool import DaemonPool
from inngest_django.dispatch.publisher import CeleryPublisher
from inngest_django.engine import hints

logger = logging.getLogger(__name__)

_READY_WITHIN = 30.0
_BROKER_VARIABLES = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")
_CONFIGURATION: dict[str, Any] = {
    "broker_url": memory.URL,
    "broker_read_url": memory.URL,
    "broker_write_url": memory.URL,
    "broker_transport_options": {},
    "broker_use_ssl": False,
    "broker_connection_retry_on_startup": True,
    "task_always_eager": False,
    "task_create_missing_queues": True,
    "beat_enable_remote_control": False,
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "worker_prefetch_multiplier": 4,
}
_lock = threading.Lock()
_running: LocalStack | None = None


class LocalStack:
    """A running worker and beat; made by ``start_local``.

    Attributes:
        app: The Celery app that they serve.
    """

    def __init__(self, app: Any, *, concurrency: int) -> None:
        self.app = app
        self._worker = _Worker(app, concurrency)
        self._beat = _Beat(app)
        self._undo = contextlib.ExitStack()

    def start(self) -> None:
        """Start both; returns when the worker consumes."""
        memory.register()
        self._undo.enter_context(_local_broker(self.app))
        publisher = CeleryPublisher(self.app)
        previous = hints.install(publisher)
        self._undo.callback(hints.install, previous)
        self._undo.callback(publisher.close)
        try:
            self._worker.start()
            self._beat.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop both within about three seconds; jobs that run are left to their leases."""
        global _running  # noqa: PLW0603 - one stack a process
        from inngest_django.engine import leases

        self._beat.ask_to_stop()
        leases.start_draining()
        try:
            self._worker.stop()
            self._beat.join()
        finally:
            self._undo.close()
            memory.purge()
            leases.stop_draining()
            with _lock:
                if _running is self:
                    _running = None


def start_local(app: Any = None, *, concurrency: int = 4) -> LocalStack:
    """Start a worker and beat in threads of this process.

    Args:
        app: The Celery app; the project's unless given, or a new one if it has none.
        concurrency: How many tasks run at a time.

    Raises:
        RuntimeError: One runs already in this process, or the worker did not start.
    """
    global _running  # noqa: PLW0603 - one stack a process
    stack = LocalStack(app or _project_app() or _new_app(), concurrency=concurrency)
    with _lock:
        if _running is not None:
            raise RuntimeError(
                "start_local() was called twice: a worker runs in this process already."
                " Call stop() on what the first call returned."
            )
        _running = stack
    stack.start()
    return stack


def _project_app() -> Any:
    # What ``current_app`` would make up when there is none is called "default".
    for app in (_state._tls.current_app, _state.default_app):  # noqa: SLF001 - asking makes one
        if app is not None and app.main != "default":
            return app
    return None


def _new_app() -> Any:
    app = Celery("inngest", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.autodiscover_tasks()
    # Publishing threads find it: nothing else in this process has one.
    app.set_default()
    return app


@contextlib.contextmanager
def _local_broker(app: Any) -> Iterator[None]:
    """Put the in-process transport in the place of the app's broker."""
    # Celery reads these before its configuration.
    variables = {name: os.environ.pop(name) for name in _BROKER_VARIABLES if name in os.environ}
    app.conf.get("broker_url")  # Reads the configuration, which replaces what ``conf`` is.
    changes = app.conf.changes
    before = {key: changes[key] for key in _CONFIGURATION if key in changes}
    consumed = app.amqp.queues._consume_from  # noqa: SLF001 - the worker selects, nothing unselects
    app.conf.update(_CONFIGURATION)
    _forget_connections(app)
    try:
        yield
    finally:
        for key in _CONFIGURATION:
            changes.pop(key, None)
        changes.update(before)
        os.environ.update(variables)
        app.amqp.queues._consume_from = consumed  # noqa: SLF001
        _forget_connections(app)


def _forget_connections(app: Any) -> None:
    # What Celery does after a fork: the next use asks the configuration again.
    app._pool = None  # noqa: SLF001
    app.amqp._producer_pool = None  # noqa: SLF001


class _Worker:
    """Celery's worker in a thread, without what its command line adds (signals, stdout)."""

    def __init__(self, app: Any, concurrency: int) -> None:
        self._app = app
        self._concurrency = concurrency
        self._controller: Any = None
        self._is_ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="inngest-worker", daemon=True)

    def start(self) -> None:
        self._thread.start()
        deadline = time.monotonic() + _READY_WITHIN
        while not self._is_ready.wait(0.05):
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError(
                    f"The in-process worker did not start: {self._error or 'see the log'}."
                ) from self._error
        worker.on_ready()

    def stop(self) -> None:
        worker.on_shutdown()
        if self._controller is not None:
            self._controller.stop()
        self._thread.join(5)

    def _run(self) -> None:
        # Made here: Celery closes the database connections of the thread that makes it.
        try:
            self._controller = WorkController(
                app=self._app,
                pool=DaemonPool,
                concurrency=self._concurrency,
                queues=_queues(self._app),
                hostname=f"inngest-local-{os.getpid()}",
                without_gossip=True,
                without_mingle=True,
                without_heartbeat=True,
                ready_callback=lambda _: self._is_ready.set(),
            )
            self._controller.start()
        except BaseException as error:
            self._error = error
            logger.debug("the in-process worker ended", exc_info=True)
        finally:
            connections.close_all()


def _queues(app: Any) -> list[str]:
    settings = conf.get()
    return list(
        dict.fromkeys(
            (
                settings.CONTROL_QUEUE,
                settings.QUEUE,
                *settings.QUEUES.values(),
                app.conf.task_default_queue,
            )
        )
    )


class _Beat:
    """Celery's beat in a thread."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._stopping = threading.Event()
        self._service: Any = None
        self._thread = threading.Thread(target=self._run, name="inngest-beat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask_to_stop(self) -> None:
        self._stopping.set()
        if self._service is not None:
            self._service.stop()

    def join(self) -> None:
        if self._thread.is_alive():
            self._thread.join(2)

    def _run(self) -> None:
        # What disturbs a scheduler (a database that restarts) must not end it for good.
        while not self._stopping.is_set():
            try:
                self._service = Service(self._app, max_interval=1, scheduler_cls=_scheduler())
                self._service.start()
            except Exception:
                logger.exception("The in-process beat failed, starting it again.")
                self._stopping.wait(1)
            finally:
                connections.close_all()


def _scheduler() -> Any:
    if apps.is_installed("django_celery_beat"):
        return "django_celery_beat.schedulers:DatabaseScheduler"
    return _Schedule


class _Schedule(Scheduler):  # type: ignore[misc]  # celery ships no types
    """The tick alone, for a project without django-celery-beat."""

    def setup_schedule(self) -> None:
        """Fill the schedule."""
        settings = conf.get()
        self.data[tasks.TICK] = ScheduleEntry(
            name=tasks.TICK,
            task=tasks.TICK,
            schedule=settings.TICK.total_seconds(),
            options={"queue": settings.CONTROL_QUEUE, "expires": 10},
            app=self.app,
        )
