"""Registered functions and their rows.

Workers write what they registered and touch the rows while they live. Routing starts a
function that this process knows, or that some living process knows: in a deploy, a worker
with the old code must not drop the first events of a new function.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from inngest_django.engine import ingest, schedules, transactions
from inngest_django.functions import registry
from inngest_django.models import Function
from inngest_django.serialization import dumps

logger = logging.getLogger(__name__)

TOUCH_EVERY = 60.0  # Seconds.
ALIVE_FOR = schedules.ALIVE_FOR
_REREAD_EVERY = 5.0

_lock = threading.Lock()
_touched = 0.0
_foreign: dict[str, dict[str, Any]] = {}
_foreign_read = -_REREAD_EVERY
_versions: dict[str, int] = {}
_registered_version = -1


def register() -> None:
    """Write the registry to ``Function`` rows; the version rises with a new configuration.

    A configuration that the row had before keeps the row as it is: old and new processes of
    a deploy register in turn, and must not overwrite each other.
    """
    global _touched, _registered_version
    functions = registry.all()
    now = ingest.now_value()
    with transactions.write():
        rows = {
            row.id: row
            for row in Function.objects.filter(pk__in=functions)
            .order_by("id")
            .select_for_update(no_key=True)
        }
        renewed = set()
        for function_id, function in sorted(functions.items()):
            config = function.config()
            checksum = hashlib.sha256(dumps(config).encode()).hexdigest()[:16]
            row = rows.get(function_id)
            if row is None:
                Function.objects.bulk_create(
                    [
                        Function(
                            id=function_id,
                            name=function.name,
                            config=config,
                            checksums=[checksum],
                            registered_at=now,
                        )
                    ],
                    ignore_conflicts=True,
                )
                continue
            changes: dict[str, Any] = {"registered_at": now}
            if checksum not in row.checksums:
                renewed.add(function_id)
                changes |= {
                    "name": function.name,
                    "config": config,
                    "version": row.version + 1,
                    "checksums": [*row.checksums[-19:], checksum],
                }
            Function.objects.filter(pk=function_id).update(**changes)
        schedules.declare(functions, renewed=renewed)
    with _lock:
        _versions.clear()
        _versions.update(Function.objects.filter(pk__in=functions).values_list("id", "version"))
        _touched = time.monotonic()
        _registered_version = registry.version()


def touch() -> None:
    """Say now and then that this process is alive and knows its functions."""
    global _touched
    if registry.version() != _registered_version:
        register()
        return
    with _lock:
        if time.monotonic() - _touched < TOUCH_EVERY:
            return
        _touched = time.monotonic()
    functions = registry.all()
    Function.objects.filter(pk__in=list(functions)).update(registered_at=ingest.now_value())
    schedules.touch(functions)


def version_of(function_id: str) -> int:
    """Return the version last seen for a function, 1 when unknown."""
    return _versions.get(function_id, 1)


def foreign() -> Mapping[str, Mapping[str, Any]]:
    """Return configurations of functions that only other living processes know."""
    global _foreign, _foreign_read
    with _lock:
        if time.monotonic() - _foreign_read < _REREAD_EVERY:
            return _foreign
        _foreign_read = time.monotonic()
    rows = Function.objects.filter(registered_at__gte=transactions.now() - ALIVE_FOR).exclude(
        pk__in=list(registry.all())
    )
    found = {row.id: row.config for row in rows}
    with _lock:
        _foreign = found
    return found


def forget() -> None:
    """Drop what this process remembers of the rows; for tests that clear the tables."""
    global _foreign_read, _touched, _registered_version
    with _lock:
        _foreign_read, _touched, _registered_version = -_REREAD_EVERY, 0.0, -1
        _versions.clear()
        _foreign.clear()
