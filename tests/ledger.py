"""A record outside the app's database of what bodies really did.

The code under test writes here, in whatever process or thread it runs; tests read. It is a
SQLite file of its own, so that no transaction of the app, committed or not, has a say in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sqlite3
import time
from collections.abc import Iterator

# By how much a test moved the clock of this process, so that notes stay comparable.
_SKEW = float(os.environ.get("INNGEST_TEST_SKEW", "0"))


@dataclasses.dataclass(frozen=True, slots=True)
class Note:
    """One line of the ledger; ``at`` is the host's time in seconds."""

    key: str
    what: str
    value: object
    pid: int
    at: float


@contextlib.contextmanager
def _open() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(os.environ["INNGEST_TEST_LEDGER"], timeout=30)
    try:
        with connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS note"
                " (id INTEGER PRIMARY KEY, key TEXT, what TEXT, value TEXT, pid INTEGER, at REAL)"
            )
        yield connection
    finally:
        connection.close()


def note(key: str, what: str, value: object = None) -> None:
    """Write one line; ``key`` is usually the run's id. Durable when it returns."""
    with _open() as connection, connection:
        connection.execute(
            "INSERT INTO note (key, what, value, pid, at) VALUES (?, ?, ?, ?, ?)",
            (key, what, json.dumps(value), os.getpid(), time.time() - _SKEW),
        )


def notes(key: str, what: str | None = None) -> list[Note]:
    """Return the lines under ``key``, oldest first."""
    with _open() as connection:
        rows = connection.execute(
            "SELECT key, what, value, pid, at FROM note"
            " WHERE key = ? AND (? IS NULL OR what = ?) ORDER BY id",
            (key, what, what),
        ).fetchall()
    return [Note(row[0], row[1], json.loads(row[2]), row[3], row[4]) for row in rows]


def count(key: str, what: str) -> int:
    """Return how often ``what`` was noted under ``key``."""
    return len(notes(key, what))


def order(key: str) -> list[str]:
    """Return what was noted under ``key``, oldest first."""
    return [line.what for line in notes(key)]
