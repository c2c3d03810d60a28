"""Replacing the code of durable functions under live runs, as a deploy does.

A test module reads ``RELEASE`` when it is imported. In the service profiles a deploy is a
worker that is stopped and another that imports the code of release 2; in the other profile,
where the worker is a part of this process, its functions are replaced while it is stopped.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from inngest_django import Function
from inngest_django.clock import now
from inngest_django.engine import hints, sync
from inngest_django.engine.hints import JobHint
from inngest_django.functions import registry
from inngest_django.models import Run
from tests.processes import ProcessStack, Stack

RELEASE = int(os.environ.get("INNGEST_TEST_RELEASE", "1"))


@contextlib.contextmanager
def deployed(stack: Stack, functions: Sequence[Function]) -> Iterator[None]:
    """Run release 2 inside the block; ``functions`` are its changed ones."""
    if isinstance(stack, ProcessStack):
        stack.restart_worker(env={"INNGEST_TEST_RELEASE": "2"})
        yield
        stack.heal()
        return
    stack.stop()
    for function in functions:
        registry.register(function)
    stack.start()
    try:
        yield
    finally:
        stack.stop()
        for function in functions:
            registry.unregister(function)
        sync.forget()
        stack.start()


def wake(run: Run) -> None:
    """End a run's sleep now, as if its time had come."""
    for job in run.jobs.filter(kind="sleep"):
        run.jobs.filter(pk=job.pk).update(available_at=now(), next_hint_at=now())
        hints.execute([JobHint(job.pk, job.function_id)])
