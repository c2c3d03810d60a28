"""The leases that this worker holds, their renewal, and draining.

Renewals come from the process that runs the body: a process that stops or hangs as a whole
stops renewing, and its jobs are taken over. A body that runs over its time limit is no
longer renewed either, nor is what the engine itself does when that takes longer than a lease:
then it waits on a connection that died without a word, and would hold the job for hours.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import mmap
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator

from django.db import Error as DatabaseError

from inngest_django import conf
from inngest_django.engine import hot_path, transactions

logger = logging.getLogger(__name__)

BODY_LIMIT = 2 * 60 * 60.0  # Seconds for which one call is renewed.

# Shared with the pool's children, because it is mapped before they are forked: the process
# that is told to stop is not the one that leases.
_draining_flag = mmap.mmap(-1, 1)
_owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


@dataclasses.dataclass(slots=True)
class Lease:
    """A worker's claim on a job, by its own monotonic clock.

    Attributes:
        working_since: When the engine's own work began; None while the user's code runs.
    """

    job_id: int
    token: int
    ttl: float
    taken: float
    renewed: float
    working_since: float | None = None

    def lend(self) -> None:
        """Note that the user's code runs from now on, which may take its time."""
        self.working_since = None

    def take_back(self) -> None:
        """Note that the engine works from now on: a few statements."""
        self.working_since = time.monotonic()

    def is_worth_renewing(self, now: float) -> bool:
        """Whether what it is held for may still come to an end."""
        if self.working_since is not None and now - self.working_since > self.ttl:
            return False
        return now - self.taken < BODY_LIMIT

    def is_alive(self) -> bool:
        """Whether nobody else can have taken the job by now."""
        return time.monotonic() < self.renewed + self.ttl


class _Renewer:
    """Renews the leases of one process in one statement; a thread only while any is held."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.held: dict[int, Lease] = {}
        self.lock = threading.Lock()
        self.wake = threading.Event()
        self.thread: threading.Thread | None = None

    def add(self, lease: Lease) -> None:
        with self.lock:
            self.held[lease.token] = lease
            if self.thread is None:
                self.thread = threading.Thread(target=self._run, name="inngest-leases", daemon=True)
                self.thread.start()

    def remove(self, lease: Lease) -> None:
        with self.lock:
            self.held.pop(lease.token, None)

    def _run(self) -> None:
        idle_since = time.monotonic()
        while not self.wake.wait(conf.get().LEASE_TTL.total_seconds() / 4):
            if self.held:
                idle_since = time.monotonic()
                self.renew()
                continue
            # Held between bodies, it would be one more for each process.
            transactions.connection().close()
            if time.monotonic() - idle_since > 60:
                with self.lock:
                    if not self.held:
                        self.thread = None
                        break
        transactions.connection().close()

    def renew(self) -> None:
        started = time.monotonic()
        with self.lock:
            wanted = {
                token: lease
                for token, lease in self.held.items()
                if lease.is_worth_renewing(started)
            }
        # Young leases outlive the next round; most bodies end before their first renewal.
        due = {
            token: lease.job_id
            for token, lease in wanted.items()
            if started - lease.renewed > lease.ttl / 5
        }
        if not due:
            return
        try:
            renewed = hot_path.renew(due)
        except DatabaseError as error:
            logger.warning("leases not renewed", extra={"fault": type(error).__name__})
            transactions.connection().close()
            return
        for token in renewed:
            wanted[token].renewed = started


_renewer = _Renewer()


def _current() -> _Renewer:
    global _renewer
    if _renewer.pid != os.getpid():
        _renewer = _Renewer()
    return _renewer


def owner() -> str:
    """Return the name under which this worker, with its pool's children, holds leases."""
    return _owner


@contextlib.contextmanager
def holding(job_id: int, token: int, *, leased_at: float, ttl: float) -> Iterator[Lease]:
    """Keep a lease renewed inside the block.

    Args:
        leased_at: Monotonic time just before the lease was asked for.
    """
    lease = Lease(job_id, token, ttl, taken=leased_at, renewed=leased_at, working_since=leased_at)
    renewer = _current()
    renewer.add(lease)
    try:
        yield lease
    finally:
        renewer.remove(lease)


def is_draining() -> bool:
    """Whether this worker was told to stop."""
    return _draining_flag[0] == 1


def start_draining() -> None:
    """Note that this worker was told to stop: leases it leaves behind charge nothing."""
    _draining_flag[0] = 1
    try:
        hot_path.mark_draining(owner())
    except DatabaseError as error:
        logger.warning("draining not noted", extra={"fault": type(error).__name__})


def stop_draining() -> None:
    """Undo ``start_draining``; for a process that starts a worker again."""
    _draining_flag[0] = 0
