"""SQLite as the engine needs it, on settings as ``startproject`` writes them.

With Django's defaults a transaction that reads and then writes fails at once with "database
is locked" when somebody else wrote in between; no time-out helps against that. Transactions
that begin as writers queue up instead, and WAL lets readers go on meanwhile.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import Any

from inngest_django import conf

logger = logging.getLogger(__name__)

BUSY_TIMEOUT_MS = 20_000  # SQLite is not fair: under load one writer may wait for long.


def prepare(*, connection: Any, **_: Any) -> None:
    """Set up a new connection; a ``connection_created`` receiver.

    What the project's ``OPTIONS`` say is left alone.
    """
    if connection.vendor != "sqlite" or connection.alias != conf.get().DATABASE:
        return
    options = connection.settings_dict.get("OPTIONS") or {}
    given = str(options.get("init_command") or "").lower()
    if "transaction_mode" not in options:
        connection.transaction_mode = "IMMEDIATE"
    raw = connection.connection
    if "timeout" not in options and "busy_timeout" not in given:
        raw.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}").close()
    is_wal = _mode(raw) == "wal" if "journal_mode" in given else _use_wal(raw)
    if is_wal and "synchronous" not in given:
        # In WAL this keeps the file whole; a power cut may lose the last commits.
        raw.execute("PRAGMA synchronous = NORMAL").close()


def _mode(raw: Any) -> str:
    [mode] = raw.execute("PRAGMA journal_mode").fetchone()
    return str(mode)


def _use_wal(raw: Any) -> bool:
    """Return whether the file is in WAL mode now; the mode is kept in the file."""
    mode = _mode(raw)
    if mode in {"wal", "memory"}:
        return mode == "wal"
    try:
        [mode] = raw.execute("PRAGMA journal_mode = WAL").fetchone()
    except sqlite3.OperationalError as error:
        # Somebody is using the file, or it is read-only. The next connection tries again.
        logger.debug("SQLite stays in journal mode %s: %s", mode, error)
    return mode == "wal"
