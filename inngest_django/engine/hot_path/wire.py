"""How the statements reach the server: prepared once a connection, where that can be done.

Parsing and planning the lease costs PostgreSQL 0.6 ms and running it 0.04 ms, so that this
halves what a step costs. Django's own cursors send text and prepare nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import DatabaseError, InterfaceError

from inngest_django import clock
from inngest_django.engine import transactions

Statement = tuple[str, Sequence[Any]]
Rows = list[tuple[Any, ...]]


def can_prepare() -> bool:
    """Whether statements can be prepared on this thread's connection now.

    Not inside somebody's transaction, and not where somebody counts or logs statements. A
    project behind a pooler that shares sessions tells Django so with
    ``DISABLE_SERVER_SIDE_CURSORS``; prepared statements belong to a session as well.
    """
    held = transactions.connection()
    if held.vendor != "postgresql" or held.in_atomic_block or clock.is_moved():
        return False
    if held.execute_wrappers or held.queries_logged:
        return False
    if held.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        return False
    return _has_pipelines(held)


def _has_pipelines(held: Any) -> bool:
    pipeline = getattr(held.Database, "Pipeline", None)  # psycopg 2 has none
    return bool(pipeline is not None and pipeline.is_supported())


def fetch(text: str, params: Sequence[Any]) -> Rows:
    """Run one statement by itself, prepared if possible; returns its rows."""
    if not can_prepare():
        with transactions.connection().cursor() as cursor:
            cursor.execute(text, params)
            return list(cursor.fetchall())
    with _prepared() as (raw, cursor_of):
        cursor = cursor_of(raw)
        cursor.execute(text, params, prepare=True)
        return list(cursor.fetchall())


def write(text: str, params: Sequence[Any]) -> int:
    """Run one statement that changes rows, in a transaction of its own; returns how many."""
    if not can_prepare():
        with transactions.write() as cursor:
            cursor.execute(text, params)
            return int(cursor.rowcount)
    with _prepared() as (raw, cursor_of):
        cursor = cursor_of(raw)
        cursor.execute(text, params, prepare=True)
        return int(cursor.rowcount)


def exchange(*statements: Statement) -> Rows:
    """Run statements as one transaction in one round trip; returns the rows of the last one.

    Each statement has a snapshot of its own, taken after the locks of those before it.
    """
    if not can_prepare():
        return _exchange_text(statements)
    with _prepared() as (raw, cursor_of):
        cursors = [cursor_of(raw) for _ in statements]
        with raw.pipeline():
            # Outside a transaction a pipeline is one, up to its end.
            for cursor, (text, params) in zip(cursors, statements, strict=True):
                cursor.execute(text, params, prepare=True)
        return list(cursors[-1].fetchall())


@contextlib.contextmanager
def _prepared() -> Iterator[tuple[Any, Any]]:
    held = transactions.connection()
    held.ensure_connection()
    raw = held.connection
    threshold, raw.prepare_threshold = raw.prepare_threshold, 0
    try:
        with held.wrap_database_errors:
            yield raw, held.Database.Cursor
    except (DatabaseError, InterfaceError):
        # What the client believes to be prepared may not be after a message broke off.
        held.close()
        raise
    finally:
        with contextlib.suppress(InterfaceError):
            raw.prepare_threshold = threshold


def _exchange_text(statements: Sequence[Statement]) -> Rows:
    text = "; ".join(["BEGIN", *(text for text, _ in statements), "COMMIT"])
    params = [param for _, values in statements for param in values]
    rows: Rows = []
    with transactions.connection().cursor() as cursor:
        try:
            cursor.execute(text, params)
        except (DatabaseError, InterfaceError):
            # The message broke off inside its transaction.
            with contextlib.suppress(DatabaseError, InterfaceError):
                cursor.execute("ROLLBACK")
            raise
        while True:
            if cursor.description is not None:
                rows = cursor.fetchall()
            if not cursor.nextset():
                return rows
