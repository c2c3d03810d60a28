"""Autocommit inside a test's transaction: a failed statement undoes itself alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from django.db import DatabaseError, connections, transaction

from inngest_django.models.base import alias


@contextlib.contextmanager
def autocommitting() -> Iterator[None]:
    """Let each statement in the block stand for itself, as it does in production.

    There a body of ``step.run`` has no transaction around it. In a test it has, and one
    failed statement would break it, for the engine too.
    """
    connection = connections[alias()] if _is_plain_thread() else None
    if connection is None or not connection.in_atomic_block or connection.needs_rollback:
        yield
        return
    depth = len(connection.savepoint_ids)
    mark_for_rollback = transaction.mark_for_rollback_on_error

    def is_outside_blocks() -> bool:
        # In a block of the author's a failure breaks the block, here as in production.
        return len(connection.savepoint_ids) <= depth

    def mark(using: str | None = None) -> contextlib.AbstractContextManager[None]:
        if (using or "default") == connection.alias and is_outside_blocks():
            return contextlib.nullcontext()
        return mark_for_rollback(using=using)

    def each(execute: Callable[..., Any], *statement: Any) -> Any:
        # One that begins or ends a block must not lie in a block of its own.
        is_border = str(statement[0]).startswith(("SAVEPOINT", "RELEASE", "ROLLBACK"))
        if connection.vendor != "postgresql" or is_border or not is_outside_blocks():
            return execute(*statement)
        with _statement(connection):
            return execute(*statement)

    try:
        with (
            mock.patch.object(transaction, "mark_for_rollback_on_error", mark),
            connection.execute_wrapper(each),
        ):
            yield
    finally:
        connection.needs_rollback = False


@contextlib.contextmanager
def _statement(connection: Any) -> Iterator[None]:
    """Undo what fails in the block. PostgreSQL refuses all that follows in a transaction."""
    _savepoint(connection, "SAVEPOINT {}")
    try:
        yield
    except DatabaseError:
        _savepoint(connection, "ROLLBACK TO SAVEPOINT {}")
        raise
    _savepoint(connection, "RELEASE SAVEPOINT {}")


def _savepoint(connection: Any, text: str) -> None:
    with connection.connection.cursor() as cursor:
        cursor.execute(text.format("inngest_statement"))


def _is_plain_thread() -> bool:
    """Whether the database may be used here: not on an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False
