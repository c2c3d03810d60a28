"""Samples what a worker's child does with its processor time.

A timer of processor time interrupts it every few milliseconds of work; the place where it then
is counts for one part. A profiler that follows every call would make Python look slower, and
what is written in C faster, than they are.
"""

from __future__ import annotations

import collections
import json
import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any

FOLDER = "BENCHMARKS_SAMPLES"
_EVERY = 0.004  # Seconds of processor time; a kernel may round up to its own tick.
_WRITTEN_EVERY = 20

# What is found first in this order anywhere in the stack: publishing happens within the rest.
PARTS = {
    "publish": ("inngest_django/dispatch/publisher.py", "inngest_django/dispatch/messages.py",
                "inngest_django/dispatch/envelopes.py", "celery/app/task.py:apply_async",
                "celery/canvas.py"),
    "route events": ("inngest_django/engine/routing.py", "inngest_django/engine/stamping.py"),
    "lease and load": ("inngest_django/engine/hot_path/leasing.py",
                       "inngest_django/engine/leases.py"),
    "record the outcome": ("inngest_django/engine/outcomes.py",
                           "inngest_django/engine/checkpoints.py",
                           "inngest_django/engine/hot_path/settling.py"),
    "call the function": ("inngest_django/drivers/", "inngest_django/steps/",
                          "benchmarks/functions.py"),
    "the engine's rest": ("inngest_django/engine/",),
    "store the result": ("celery/backends/",),
}  # fmt: skip
REST = "Celery"

_counts: collections.Counter[str] = collections.Counter()


def part_of(frame: FrameType | None) -> str:
    """Return which part a stack belongs to."""
    places = []
    while frame is not None:
        place = f"{frame.f_code.co_filename}:{frame.f_code.co_name}"
        if "billiard/pool.py:" in place:
            break  # Below is what the main process did when it made this child.
        places.append(place)
        frame = frame.f_back
    for part, fragments in PARTS.items():
        if any(fragment in place for place in places for fragment in fragments):
            return part
    return REST


def connect() -> None:
    """Sample the children of this worker, if whoever started it asked for that."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    from celery.signals import worker_process_init

    def begin(**_: Any) -> None:
        path = Path(folder) / f"{os.getpid()}.json"

        def note(_: int, frame: FrameType | None) -> None:
            _counts[part_of(frame)] += 1
            if not _counts.total() % _WRITTEN_EVERY:
                path.write_text(json.dumps(_counts))

        signal.signal(signal.SIGPROF, note)
        signal.siginterrupt(signal.SIGPROF, False)
        signal.setitimer(signal.ITIMER_PROF, _EVERY, _EVERY)

    worker_process_init.connect(begin, weak=False)


def read(folder: Path) -> collections.Counter[str]:
    """Return what all children have counted, but for their last few samples."""
    found: collections.Counter[str] = collections.Counter()
    for path in folder.glob("*.json"):
        try:
            found.update(json.loads(path.read_text()))
        except ValueError:
            continue  # It is being written.
    return found
