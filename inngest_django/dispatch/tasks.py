"""The Celery tasks: a few lines each over the engine, with ids for arguments.

Results are ignored, messages acknowledged early and never retried by Celery: rows, leases and
the tick repair what is lost, without the time-outs that late acknowledgement brings.

The engine is imported when a task runs: a process that only publishes has no use for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from celery import shared_task
from django.db import InterfaceError, OperationalError

logger = logging.getLogger(__name__)

EXECUTE = "inngest.execute"
ROUTE = "inngest.route"
TICK = "inngest.tick"
PRUNE = "inngest.prune"
NAMES = frozenset({EXECUTE, ROUTE, TICK, PRUNE})

_LARGEST_ID = 2**63 - 1
_OPTIONS = {
    "ignore_result": True,
    "store_errors_even_if_ignored": False,
    "acks_late": False,
    "max_retries": 0,
    "trail": False,
    # Arguments are checked below: a message that cannot be understood is refused with a line
    # in the log, whichever program or version wrote it.
    "typing": False,
}


@shared_task(name=EXECUTE, **_OPTIONS)  # type: ignore[untyped-decorator]
def execute(*args: Any, **kwargs: Any) -> None:
    """Do one job: ``(job_id)``."""
    job_id = _one_id(args, kwargs)
    if job_id is None:
        _refuse(EXECUTE, args, kwargs, wanted="one positive job id")
        return
    from inngest_django.engine import executor

    _run(EXECUTE, lambda: executor.execute(job_id, goes_on=True))


@shared_task(name=ROUTE, **_OPTIONS)  # type: ignore[untyped-decorator]
def route(*args: Any, **kwargs: Any) -> None:
    """Route the events that were committed."""
    if args or kwargs:
        _refuse(ROUTE, args, kwargs, wanted="no arguments")
        return
    from inngest_django.engine import routing

    _run(ROUTE, routing.route)


@shared_task(name=TICK, **_OPTIONS)  # type: ignore[untyped-decorator]
def tick(*args: Any, **kwargs: Any) -> None:
    """Release what is due and repair what was lost."""
    if args or kwargs:
        _refuse(TICK, args, kwargs, wanted="no arguments")
        return
    from inngest_django.engine import recovery

    _run(TICK, recovery.tick)


@shared_task(name=PRUNE, **_OPTIONS)  # type: ignore[untyped-decorator]
def prune(*args: Any, **kwargs: Any) -> None:
    """Delete what is older than the retention: ``()``, and ``(number)`` to go on with it."""
    number = _one_id(args, kwargs)
    if number is None and (args or kwargs):
        _refuse(PRUNE, args, kwargs, wanted="nothing, or the positive number of a pruning")
        return
    from inngest_django.engine import retention

    _run(PRUNE, lambda: retention.prune_in_turns(number))


def _one_id(args: Sequence[Any], kwargs: Mapping[str, Any]) -> int | None:
    """Return the one argument, when it is a positive number that a row's id can be."""
    value = args[0] if len(args) == 1 and not kwargs else None
    return value if type(value) is int and 0 < value <= _LARGEST_ID else None


def _run(name: str, work: Callable[[], object]) -> None:
    try:
        work()
    except (OperationalError, InterfaceError) as error:
        # Not a defect, and once a second while a database restarts: one line will do.
        logger.warning("%s gave up, the database does not answer: %s", name, str(error).strip())


def _refuse(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, wanted: str) -> None:
    # Types only: a message that is not ours may carry anything.
    logger.error(
        "%s refused a message: it takes %s, got (%s)",
        name,
        wanted,
        ", ".join(
            [type(value).__name__ for value in args[:5]]
            + [f"{key!s:.40}=…" for key in list(kwargs)[:5]]
        ),
    )
