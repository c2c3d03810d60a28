"""Workers whose "threads" are greenlets, and why they are refused.

An async function needs an event loop, and Python knows one running loop for each thread of
the operating system. Greenlets share a thread. While one of them waits inside its loop, Django
refuses the database to all others ("you cannot call this from an async context"), a COMMIT,
a ROLLBACK and the closing of a connection included: a transaction then stays open, and keeps
its locks, for as long as the worker lives. Renewals of leases stand still as well while any
body computes.
"""

from __future__ import annotations

import sys
from typing import Any

from inngest_django import conf

# Library: the module that says what it has patched, its question, and its word for threads.
_PATCHERS = {
    "gevent": ("gevent.monkey", "is_module_patched", "threading"),
    "eventlet": ("eventlet.patcher", "is_monkey_patched", "thread"),
}


def refuse(worker: Any) -> bool:
    """Return whether the engine has to keep out of this worker.

    Raises:
        SystemExit: The worker also takes messages of ours. Celery only logs other errors.
    """
    library = _library(worker)
    if library is None:
        return False
    if ours := sorted(_queues() & set(worker.app.amqp.queues.consume_from)):
        raise SystemExit(
            f"inngest_django cannot run on {library}: its greenlets share one thread, where an"
            " async function keeps all others from the database, so that runs stay locked."
            f" This worker would take {', '.join(ours)}. Start the workers of these queues with"
            " `-P prefork` or `-P threads`, and without monkey patching; name the queues of"
            f" this one with -Q if your own tasks need {library}."
        )
    return True


def _library(worker: Any) -> str | None:
    pool = worker.pool_cls
    # A name, or the class behind it.
    name = pool if isinstance(pool, str) else pool.__module__
    for library, (module, question, threads) in _PATCHERS.items():
        if library in name.replace(":", ".").split("."):
            return library
        # Whatever the pool is called: threads that a library has replaced are greenlets.
        if (patcher := sys.modules.get(module)) and getattr(patcher, question)(threads):
            return library
    return None


def _queues() -> set[str]:
    settings = conf.get()
    return {settings.QUEUE, settings.CONTROL_QUEUE, *settings.QUEUES.values()}
