"""Clients: a process for each side that sends the work, waits for its end and tells the time.

One line of JSON in, one line out.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.places import Place

Figures = dict[str, float]
Measure = Callable[..., Figures]

PATIENCE = 180.0  # Seconds for one measurement.
# Seconds from one look to the next: where many things end, where one group of some hundred
# milliseconds does, and where one thing does after a few of them.
MANY, GROUP, SINGLE = 0.02, 0.003, 0.0005


class TooSlowError(RuntimeError):
    """The work did not end in time."""


def wait_for(is_done: Callable[[], bool], *, every: float = MANY, what: str) -> None:
    """Poll until the work is done.

    Raises:
        TooSlowError: It was not, within ``PATIENCE``.
    """
    deadline = time.monotonic() + PATIENCE
    while not is_done():
        if time.monotonic() > deadline:
            raise TooSlowError(f"{what} did not end within {PATIENCE:.0f} s")
        time.sleep(every)


def waiting_messages(app: Any) -> int:
    """Return how many messages wait in the queues of this side."""
    found = 0
    queue = Place.from_environment().queue
    with app.connection_for_read() as connection:
        for name in (queue, f"{queue}-control"):
            # In Redis an empty queue is no queue, and plain Celery has one only.
            with contextlib.suppress(*connection.channel_errors), connection.channel() as channel:
                found += channel.queue_declare(queue=name, passive=True).message_count
    return found


def quantile(values: list[float], fraction: float) -> float:
    """Return the value below which that fraction lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]


def serve(measures: Mapping[str, Measure]) -> None:
    """Answer requests until the input ends."""
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        answer: dict[str, Any]
        try:
            answer = {"figures": measures[request.pop("measure")](**request)}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
