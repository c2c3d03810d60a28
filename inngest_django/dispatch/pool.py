"""The in-process worker's pool: threads that do not keep the process alive."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any

from celery.concurrency.thread import TaskPool

from inngest_django.dispatch import connections

GRACE = 1.5  # Seconds for bodies that run when the pool is stopped.

_Work = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]


class DaemonExecutor:
    """As much of an executor as Celery's thread pool needs.

    The standard library's threads are joined when Python exits, however long a body takes.
    A job that is left behind is done again when its lease expires.
    """

    def __init__(self, max_workers: int) -> None:
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        # Celery counts them.
        self._threads = [
            threading.Thread(target=self._run, name=f"inngest-pool-{number}", daemon=True)
            for number in range(max_workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[..., Any], *args: Any) -> Future[Any]:
        """Run ``fn(*args)`` in one of the threads."""
        future: Future[Any] = Future()
        self._work.put((future, fn, args))
        return future

    def shutdown(self, *, grace: float = GRACE) -> None:
        """Drop what has not begun, and wait a little for what has."""
        while True:
            try:
                work = self._work.get_nowait()
            except Empty:
                break
            if work is not None:
                work[0].cancel()
        for _ in self._threads:
            self._work.put(None)
        deadline = time.monotonic() + grace
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            future, fn, args = work
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(fn(*args))
            except BaseException as error:  # noqa: BLE001 - as an executor does
                future.set_exception(error)
            del work, future, fn, args
        connections.close_all()


class DaemonPool(TaskPool):  # type: ignore[misc]  # celery ships no types
    """Celery's thread pool on such an executor."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.executor = DaemonExecutor(self.limit)

    def on_stop(self) -> None:
        """Stop within the grace."""
        self.executor.shutdown()
