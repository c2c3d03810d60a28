"""Ticks by the workers themselves, when beat sends none."""

from __future__ import annotations

import logging
import random
import threading

from inngest_django import conf
from inngest_django.dispatch import connections

logger = logging.getLogger(__name__)


class Ticker:
    """A thread that looks every other tick whether one is overdue, and runs it.

    It holds no database connection while it waits, so that a pool child forked from this
    process inherits none.
    """

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inngest-ticker", daemon=True)

    def start(self) -> None:
        """Start looking."""
        self._thread.start()

    def stop(self, *, timeout: float = 2.0) -> None:
        """Stop looking and wait for a tick that runs."""
        self._stopping.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        is_failing = False
        pause = self._pause(1.0)
        while not self._stopping.wait(pause):
            try:
                was_overdue = tick_if_overdue()
            except Exception as error:  # whatever it is, the next one may work
                if not is_failing:
                    logger.warning(
                        "A worker's own tick failed, trying on: %s", error, exc_info=True
                    )
                is_failing, was_overdue = True, False
            else:
                is_failing = False
            finally:
                connections.close_all()
            # Without beat this worker (or another) is the one that ticks, so look closer.
            pause = self._pause(1.0 if was_overdue else 2.0)

    @staticmethod
    def _pause(ticks: float) -> float:
        # Workers that started together must not look together.
        return conf.get().TICK.total_seconds() * ticks * random.uniform(0.8, 1.2)  # noqa: S311


def tick_if_overdue() -> bool:
    """Tick and route here if no tick ran for too long; returns whether it did."""
    from inngest_django.engine import recovery, routing

    if not recovery.overdue():
        return False
    recovery.tick()
    # The broker may be what fails, so committed events are not left to a message.
    routing.route()
    return True
