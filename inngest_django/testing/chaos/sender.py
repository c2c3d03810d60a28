"""The process that sends the load: ``python -m inngest_django.testing.chaos.sender``.

What it could not send it sends again under the same id, as a caller with an outbox would, so
that an answer that was lost leads to one run all the same.
"""

from __future__ import annotations

import logging
import os
import signal
import threading

import django

from inngest_django.testing.chaos import handover

logger = logging.getLogger(__name__)

LIVE_LIMIT = 60  # Runs; more would measure the queue in front of the workers.


class Sender:
    """Sends set after set until it is told to stop."""

    def __init__(self, given: handover.Handover) -> None:
        from inngest_django.testing.chaos.ledger import Ledger

        self._given = given
        self._ledger = Ledger(given.ledger)
        self._stopping = threading.Event()

    def stop(self, *_: object) -> None:
        """Let it end when the set that it sends has been accepted."""
        self._stopping.set()

    def run(self) -> None:
        """Send until told to stop, or until the command is gone.

        Raises:
            Error: The database cannot be reached even before the first fault.
        """
        from inngest_django.models import Run

        Run.objects.exists()
        logger.info("sender: ready.")
        number = 0
        while not self._stopping.is_set() and os.getppid() == self._given.parent:
            if self._has_room():
                self._send_set(number)
                number += 1
            self._stopping.wait(1 / self._given.rate)

    def _has_room(self) -> bool:
        from django.db import Error, connections

        from inngest_django.models import Run
        from inngest_django.states import RUN_LIVE

        try:
            return Run.objects.filter(status__in=RUN_LIVE).count() < LIVE_LIMIT
        except Error as error:
            logger.warning("cannot count: %s", error)
            connections.close_all()
            return False

    def _send_set(self, number: int) -> None:
        from inngest_django.testing.chaos.functions import SENT

        for name in SENT:
            self._send(f"{name}.{number}", name)
        # Sometimes before the run asks, sometimes after.
        self._stopping.wait(number % 3 * 0.7)
        self._send(f"answered.{number}", "answered")

    def _send(self, key: str, name: str) -> None:
        from django.db import Error, connections

        from inngest_django.events import Event
        from inngest_django.testing.chaos.functions import PREFIX, client

        # The answer and what waits for it share the number.
        event = Event(
            id=f"{PREFIX}.{self._given.queues[0]}.{key}",
            name=f"{PREFIX}/{name}",
            data={"key": key.rpartition(".")[2], "text": "yes"},
        )
        self._ledger.note(event.id or "", "sent")
        while os.getppid() == self._given.parent:
            try:
                client.send_sync(event)
            except Error as error:
                logger.warning("not sent, trying again: %s", error)
                connections.close_all()
                self._stopping.wait(0.2)
            else:
                self._ledger.note(event.id or "", "accepted")
                return


def main() -> None:
    """Send until SIGTERM."""
    django.setup()
    from inngest_django.testing.chaos import celery_app  # noqa: F401 - what hints go through

    logging.basicConfig(level=logging.INFO)
    sender = Sender(handover.received())
    signal.signal(signal.SIGTERM, sender.stop)
    sender.run()


if __name__ == "__main__":
    main()
