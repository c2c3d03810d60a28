"""What the engine is given in a test, in the place of a worker's surroundings."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
from collections.abc import Iterator
from unittest import mock

from inngest_django import ids
from inngest_django.drivers.base import Driver
from inngest_django.engine import executor, hints, leases, retries, schedules, sync
from inngest_django.functions import registry
from inngest_django.models import Function, Schedule
from inngest_django.testing.virtual_time import VirtualClock
from inngest_django.testing.worker import Silence

_LONG_AGO = dt.datetime(1971, 1, 1, tzinfo=dt.UTC)


@contextlib.contextmanager
def embedded(driver: Driver, clock: VirtualClock) -> Iterator[None]:
    """Let the engine of this process call functions by ``driver`` and publish nothing."""
    # Retries come exactly after their back-off, so that a test can say when.
    exact = functools.partial(retries.next_delay, uniform=lambda low, _: low)
    previous = hints.install(Silence())
    try:
        with (
            mock.patch.object(executor, "driver", driver),
            mock.patch.object(retries, "next_delay", exact),
            mock.patch.object(leases, "holding", _holding),
            # A look back finds events by the time in their ids.
            mock.patch.object(ids, "new_ulid", clock.new_ulid),
        ):
            yield
    finally:
        hints.install(previous)
        sync.forget()
        clock.release()


@contextlib.contextmanager
def _holding(job_id: int, token: int, *, leased_at: float, ttl: float) -> Iterator[leases.Lease]:  # noqa: ARG001
    """Hold a lease that does not end by itself, however long somebody debugs the body.

    No thread renews it: its connection would see nothing of the test's transaction.
    """
    yield leases.Lease(
        job_id=job_id, token=token, ttl=float("inf"), taken=leased_at, renewed=leased_at
    )


def write_functions() -> None:
    """Make rows and registry the same: no other process lives in a test."""
    sync.forget()
    mine = set(registry.all())
    known = set(Function.objects.values_list("id", flat=True))
    if mine - known or schedules.has_undeclared(registry.all()):
        sync.register()
    Function.objects.filter(pk__in=known - mine).update(registered_at=_LONG_AGO)
    Schedule.objects.exclude(function_id__in=mine).update(registered_at=_LONG_AGO)
