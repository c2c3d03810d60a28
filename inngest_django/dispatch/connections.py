"""Database connections of a worker's tasks, kept open between them.

Celery's Django fix-up closes every connection before and after each task, whatever
``CONN_MAX_AGE`` says; for tasks that take milliseconds that is most of their cost. For our
own tasks it is replaced by a look at each connection: broken or old ones are closed.

Where the database admits fewer connections than there are processes, those that hold one
would keep the others out for good. So once a process of this worker could not connect, all
of them give theirs back after each task for a while.
"""

from __future__ import annotations

import logging
import mmap
import struct
import threading
import time
import weakref
from typing import Any

from celery import signals
from django.db import Error as DatabaseError
from django.db import connections
from django.db.backends.signals import connection_created

from inngest_django import conf
from inngest_django.dispatch import tasks

logger = logging.getLogger(__name__)

OLDEST = 600.0  # Seconds; a limit, so that a database that moved is followed some time.
IDLE = 10.0  # Seconds after which a connection is looked at before it is used.
SCARCE_FOR = 60.0  # Seconds after a failure to connect in which none is held without need.


class _Opened(threading.local):
    """The connections that this thread has opened; Django's list of them is dear to ask for."""

    def __init__(self) -> None:
        self.all: list[Any] = list(connections.all(initialized_only=True))


_opened = _Opened()
_opened_at: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()
_replaced: weakref.WeakSet[Any] = weakref.WeakSet()
_used_at: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()
# When a process of this worker last failed to connect, by the monotonic clock, which all
# processes of a machine share; mapped before the pool's children are forked, so common to all.
_failed_at = mmap.mmap(-1, 8)


def keep_open(app: Any) -> None:
    """Take over from the fix-up of ``app`` for our own tasks; others keep its behaviour.

    The fix-up may install itself before or after this, depending on when the project made
    its app: its methods are replaced on the object, so that either way ours are connected.
    """
    connection_created.connect(_note_opened, dispatch_uid="inngest_django.dispatch.connections")
    for fixup in getattr(app, "_fixups", ()):
        worker_fixup = getattr(fixup, "worker_fixup", None)
        if worker_fixup is not None and worker_fixup not in _replaced:
            _replace(worker_fixup)
    signals.task_prerun.connect(_before_task, dispatch_uid="inngest_django.before_task")
    signals.task_postrun.connect(_after_task, dispatch_uid="inngest_django.after_task")


def _replace(worker_fixup: Any) -> None:
    before, after = worker_fixup.on_task_prerun, worker_fixup.on_task_postrun

    def prerun(sender: Any = None, **kwargs: Any) -> None:
        if not _is_ours(sender):
            before(sender=sender, **kwargs)

    def postrun(sender: Any = None, **kwargs: Any) -> None:
        if not _is_ours(sender):
            after(sender=sender, **kwargs)

    signals.task_prerun.disconnect(before)
    signals.task_postrun.disconnect(after)
    _replaced.add(worker_fixup)
    worker_fixup.on_task_prerun, worker_fixup.on_task_postrun = prerun, postrun
    # As the fix-up connects them: should it install itself again, these are the same.
    signals.task_prerun.connect(prerun)
    signals.task_postrun.connect(postrun)


def _is_ours(task: Any) -> bool:
    return getattr(task, "name", None) in tasks.NAMES


def _before_task(sender: Any = None, **_: Any) -> None:
    if _is_ours(sender) and not getattr(sender.request, "is_eager", False):
        close_unfit()
        _connect()


def _after_task(sender: Any = None, **_: Any) -> None:
    if _is_ours(sender) and not getattr(sender.request, "is_eager", False):
        give_back()


def _connect() -> None:
    """Open the engine's connection, which the task needs in any case, and note a failure."""
    try:
        connections[conf.get().DATABASE].ensure_connection()
    except DatabaseError:
        # The task tries again, and says what is wrong if that is in vain.
        note_failure()


def note_failure() -> None:
    """Note that the database admitted no connection."""
    _failed_at[:] = struct.pack("d", time.monotonic())


def forget_failure() -> None:
    """Forget what was noted; for a process that starts a worker again."""
    _failed_at[:] = struct.pack("d", 0.0)


def are_scarce() -> bool:
    """Whether a process of this worker could not connect lately."""
    [failed_at] = struct.unpack("d", _failed_at)
    return bool(failed_at) and time.monotonic() - failed_at < SCARCE_FOR


def close_unfit() -> None:
    """Close this thread's connections that are broken or old, and forget none that is well."""
    now = time.monotonic()
    for connection in _opened.all:
        if connection.connection is None or connection.in_atomic_block:
            continue
        is_old = now - _opened_at.get(connection, now) > OLDEST
        is_doubtful = connection.errors_occurred or now - _used_at.get(connection, now) > IDLE
        if is_old or _is_dirty(connection) or (is_doubtful and not connection.is_usable()):
            _close(connection)
        else:
            connection.errors_occurred = False
            connection.health_check_done = False


def give_back() -> None:
    """Note this thread's connections as used; return those of a pool, and all if scarce."""
    now, is_scarce = time.monotonic(), are_scarce()
    for connection in _opened.all:
        if connection.connection is None:
            continue
        if is_scarce or connection.settings_dict.get("OPTIONS", {}).get("pool"):
            # A pool may be smaller than the number of threads; returning costs nothing.
            _close(connection)
        else:
            _used_at[connection] = now


def close_all() -> None:
    """Close every connection of this thread."""
    for connection in connections.all(initialized_only=True):
        _close(connection)


def _is_dirty(connection: Any) -> bool:
    # Somebody switched autocommit and did not put it back.
    return bool(connection.get_autocommit() != connection.settings_dict["AUTOCOMMIT"])


def _close(connection: Any) -> None:
    try:
        connection.close()
    except DatabaseError as error:
        logger.debug("closing a database connection failed: %s", error)


def _note_opened(*, connection: Any, **_: Any) -> None:
    now = time.monotonic()
    _opened_at[connection] = now
    _used_at[connection] = now
    if connection not in _opened.all:
        _opened.all.append(connection)
