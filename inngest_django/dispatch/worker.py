"""What a Celery worker process does for the engine besides running tasks.

Connected when the app is loaded in a process that has Celery; the receivers act in workers
only, and for each pool: prefork, threads and solo. Pools of greenlets are refused.
"""

from __future__ import annotations

import importlib
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from celery import signals
from django.conf import settings
from django.db import connections as django_connections

from inngest_django import conf
from inngest_django.dispatch import answers, connections, greenlets, reserves
from inngest_django.dispatch.ticker import Ticker

logger = logging.getLogger(__name__)


class _Process:
    """State of this worker's main process."""

    def __init__(self) -> None:
        self.pid = 0
        self.keeps_out = False
        self.ticker: Ticker | None = None
        self.forget: Callable[[], None] | None = None


_main = _Process()


def connect() -> None:
    """Connect the receivers; as often as one likes."""
    for signal, receiver in (
        (signals.worker_init, on_init),
        (signals.worker_ready, on_ready),
        (signals.worker_process_init, on_child),
        (signals.worker_shutting_down, on_shutting_down),
        (signals.worker_shutdown, on_shutdown),
    ):
        signal.connect(receiver, dispatch_uid=f"inngest_django.dispatch.{receiver.__name__}")


def on_init(sender: Any = None, **_: Any) -> None:
    """In the main process, before its pool exists."""
    from inngest_django.engine import leases, sync

    _main.pid = os.getpid()
    _main.keeps_out = greenlets.refuse(sender)
    if _main.keeps_out:
        return
    connections.forget_failure()
    connections.keep_open(getattr(sender, "app", None))
    reserves.leave_out_hints(getattr(sender, "app", None))
    if sender is not None:
        _main.forget = answers.keep(sender.app)
    leases.stop_draining()
    load_served()
    try:
        sync.register()
    except Exception as error:  # noqa: BLE001 - a worker may start before its database
        logger.warning("Functions not registered yet, the tick tries again: %s", error)
    finally:
        # None may be open when the pool forks.
        connections.close_all()


def load_served() -> None:
    """Import the project's URL configuration: functions listed by ``serve`` stand there.

    A worker needs no URLs otherwise, so that it would not know these functions.
    """
    urlconf = getattr(settings, "ROOT_URLCONF", None)
    if not urlconf:
        return
    try:
        importlib.import_module(urlconf)
    except Exception:
        logger.exception("The URL configuration cannot be imported; functions served there wait.")


def on_ready(**_: Any) -> None:
    """In the main process, when it consumes; its pool has been forked by now."""
    if conf.get().WORKER_TICK and _main.ticker is None and not _main.keeps_out:
        _main.ticker = Ticker()
        _main.ticker.start()


def on_child(**_: Any) -> None:
    """In each pool process; the solo pool sends this too, in the main process.

    What happens when the main process dies needs nothing here: on Linux, Celery has the
    kernel kill its children then.
    """
    if os.getpid() == _main.pid:
        return
    _main.ticker = None
    for connection in django_connections.all(initialized_only=True):
        if connection.connection is not None:
            # The fix-up did this already where it is installed. Not closed: that would end
            # the session of the parent.
            _inherited.append(connection.connection)
            connection.connection = None


def on_shutting_down(**_: Any) -> None:
    """In the main process, inside a signal handler: nothing here may wait for a lock."""
    if _main.keeps_out:
        return
    threading.Thread(target=_drain, name="inngest-drain", daemon=True).start()


def on_shutdown(**_: Any) -> None:
    """In the main process, when its pool has ended."""
    ticker, _main.ticker = _main.ticker, None
    if ticker is not None:
        ticker.stop()
    forget, _main.forget = _main.forget, None
    if forget is not None:
        # Where the worker was a thread, its process goes on.
        forget()


def _drain() -> None:
    from inngest_django.engine import leases

    if _main.ticker is not None:
        _main.ticker.stop()
    leases.start_draining()
    connections.close_all()


_inherited: list[Any] = []

connect()
