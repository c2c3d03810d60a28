"""How the statements reach the server: prepared once a connection, where that can be done.

Parsing and planning the lease costs PostgreSQL 0.6 ms and running it 0.04 ms, so that this
halves what a step costs. Django's own cursors send text and prepare nothing.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from typing import Any

from django.db import DatabaseError, InterfaceError

from inngest_django import clock
from inngest_django.engine import crash_points, transactions
from inngest_django.engine.hot_path import prepared
from inngest_django.engine.hot_path.prepared import Rows, Statement


def can_prepare() -> bool:
    """Whether statements can be prepared on this thread's connection now.

    Not inside somebody's transaction, and not where somebody counts or logs statements. A
    project behind a pooler that shares sessions tells Django so with
    ``DISABLE_SERVER_SIDE_CURSORS``; prepared statements belong to a session as well.
    """
    return _preparing() is not None


def _preparing() -> Any | None:
    """Return this thread's connection if statements can be prepared on it now.

    Handed on to who runs them: finding it takes Django a microsecond.
    """
    held = transactions.connection()
    if held.vendor != "postgresql" or held.in_atomic_block or clock.is_moved():
        return None
    if held.execute_wrappers or held.queries_logged:
        return None
    if held.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        return None
    return held if _has_pipelines(held.Database) else None


@functools.cache
def _has_pipelines(driver: Any) -> bool:
    pipeline = getattr(driver, "Pipeline", None)  # psycopg 2 has none
    return bool(pipeline is not None and pipeline.is_supported())


def fetch(text: str, params: Sequence[Any]) -> Rows:
    """Run one statement by itself, prepared if possible; returns its rows."""
    held = _preparing()
    if held is None:
        with transactions.connection().cursor() as cursor:
            cursor.execute(text, params)
            return list(cursor.fetchall())
    return _run_prepared(held, ((text, params),))[0]


def write(text: str, params: Sequence[Any]) -> int:
    """Run one statement that changes rows, in a transaction of its own; returns how many."""
    held = _preparing()
    if held is None:
        with transactions.write() as cursor:
            cursor.execute(text, params)
            return int(cursor.rowcount)
    return _run_prepared(held, ((text, params),))[1]


def exchange(*statements: Statement, before_commit: str = "") -> Rows:
    """Run statements as one transaction in one round trip; returns the rows of the last one.

    Each statement has a snapshot of its own, taken after the locks of those before it.

    Args:
        before_commit: A crash point between the last statement and the commit. Only where
            somebody watches is there a moment between them.
    """
    held = None if before_commit and crash_points.is_watched() else _preparing()
    if held is None:
        return _exchange_text(statements, before_commit)
    return _run_prepared(held, statements)[0]


def _run_prepared(held: Any, statements: Sequence[Statement]) -> tuple[Rows, int]:
    if held.connection is None:
        held.ensure_connection()
    try:
        with held.wrap_database_errors:
            return prepared.run(held.connection, statements, held.Database)
    except BaseException:
        # What the server has prepared, and where it stands, is not known after a message
        # broke off. A time limit or a signal can break it off too.
        held.close()
        raise


def _exchange_text(statements: Sequence[Statement], before_commit: str) -> Rows:
    is_watched = bool(before_commit) and crash_points.is_watched()
    ending = [] if is_watched else ["COMMIT"]
    text = "; ".join(["BEGIN", *(text for text, _ in statements), *ending])
    params = [param for _, values in statements for param in values]
    rows: Rows = []
    with transactions.connection().cursor() as cursor:
        try:
            cursor.execute(text, params)
            while True:
                if cursor.description is not None:
                    rows = cursor.fetchall()
                if not cursor.nextset():
                    break
            if is_watched:
                crash_points.reach(before_commit)
                cursor.execute("COMMIT")
        except BaseException:
            # The message broke off inside its transaction.
            with contextlib.suppress(DatabaseError, InterfaceError):
                cursor.execute("ROLLBACK")
            raise
    return rows
