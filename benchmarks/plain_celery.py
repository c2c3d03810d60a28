"""The other side: Celery alone, results stored on the same PostgreSQL.

No Django, so no fix-up that closes connections. Prefetch, acknowledgement and transport are
set as on the durable side.
"""

from __future__ import annotations

import os
import time

from celery import Celery

from benchmarks import sampling
from benchmarks.places import Place, Server

place = Place.from_environment()

app = Celery("plain", set_as_current=True)
app.conf.update(place.celery_settings())
app.conf.update(
    result_backend=Server.from_environment().alchemy_url(place.database),
    result_expires=None,
    task_default_queue=place.queue,
)

sampling.connect()

# Tasks that store no result add a line here, because nothing else tells that they ran.
MARKS = os.environ.get("BENCHMARKS_MARKS", "")


@app.task(name="step")
def step(value: int = 0) -> int:
    """One step; its result is stored and handed to the next."""
    return value + 1


@app.task(name="join")
def join(values: list[int]) -> int:
    """What follows a group."""
    return sum(values)


@app.task(name="noop", ignore_result=True)
def noop(left: int) -> None:
    """A chain without results: what Celery and the broker cost alone."""
    if left > 1:
        noop.apply_async((left - 1,))
    _mark("1")


@app.task(name="late", ignore_result=True)
def late(due: float) -> None:
    """Note how late it began, in seconds."""
    _mark(f"{time.time() - due:.6f}")


def _mark(text: str) -> None:
    handle = os.open(MARKS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, f"{text}\n".encode())
    os.close(handle)
