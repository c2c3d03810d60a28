"""Stock SQLite settings serve several writers."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.db.backends.sqlite3.base import DatabaseWrapper

from inngest_django import conf, sqlite

CONTENTION = textwrap.dedent(
    """
    import sys, threading, time
    import django
    from django.conf import settings
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}}
    )
    django.setup()
    from django.db import connection, connections, transaction
    from django.db.backends.signals import connection_created
    if sys.argv[2] == "prepared":
        from inngest_django import sqlite
        connection_created.connect(sqlite.prepare)
    errors = []
    def count():
        try:
            for _ in range(60):
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute("SELECT n FROM counter")
                    [n] = cursor.fetchone()
                    time.sleep(0.002)  # the others read meanwhile
                    cursor.execute("UPDATE counter SET n = %s", [n + 1])
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()
    threads = [threading.Thread(target=count) for _ in range(2)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    sys.exit(f"{errors[0]}" if errors else 0)
    """
)


def _count(path: Path, how: str) -> tuple[int, str]:
    """Let two processes of two threads read, then write; returns the count and the errors."""
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE counter (n INTEGER)")
        raw.execute("INSERT INTO counter VALUES (0)")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CONTENTION, str(path), how], stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    errors = "".join(process.communicate(timeout=60)[1] for process in processes)
    with sqlite3.connect(path) as raw:
        [count] = raw.execute("SELECT n FROM counter").fetchone()
    return count, errors


@pytest.fixture(autouse=True)
def _unblocked(django_db_blocker: Any) -> Iterator[None]:
    """Let tests open databases of their own; none touches the session's."""
    with django_db_blocker.unblock():
        yield


def _connect(path: Path | str, **options: Any) -> DatabaseWrapper:
    stock = connections.configure_settings(
        {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": options}}
    )
    connection = DatabaseWrapper(stock["default"], alias=conf.get().DATABASE)
    connection.connect()
    return connection


def _pragma(connection: DatabaseWrapper, name: str) -> Any:
    return connection.connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_writers_in_threads_and_processes_queue_up(tmp_path: Path) -> None:
    assert _count(tmp_path / "db.sqlite3", "prepared") == (240, "")


def test_without_it_they_fail(tmp_path: Path) -> None:
    count, errors = _count(tmp_path / "db.sqlite3", "stock")

    assert count < 240
    assert "database is locked" in errors


def test_stock_settings_become_wal_immediate_and_patient(tmp_path: Path) -> None:
    connection = _connect(tmp_path / "db.sqlite3")

    assert connection.transaction_mode == "IMMEDIATE"
    assert _pragma(connection, "journal_mode") == "wal"
    assert _pragma(connection, "synchronous") == 1
    assert _pragma(connection, "busy_timeout") == sqlite.BUSY_TIMEOUT_MS
    connection.close()


def test_what_the_project_says_stays(tmp_path: Path) -> None:
    connection = _connect(
        tmp_path / "db.sqlite3",
        timeout=3,
        transaction_mode="EXCLUSIVE",
        init_command="PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    )

    assert connection.transaction_mode == "EXCLUSIVE"
    assert _pragma(connection, "synchronous") == 2
    assert _pragma(connection, "busy_timeout") == 3000
    connection.close()


def test_journal_that_the_project_chose_keeps_full_durability(tmp_path: Path) -> None:
    connection = _connect(tmp_path / "db.sqlite3", init_command="PRAGMA journal_mode=DELETE")

    assert _pragma(connection, "journal_mode") == "delete"
    assert _pragma(connection, "synchronous") == 2
    connection.close()


def test_other_databases_are_left_alone(tmp_path: Path, settings: Any) -> None:
    settings.INNGEST = {"DATABASE": "engine"}
    stock = connections.configure_settings(
        {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "db.sqlite3"}}
    )
    connection = DatabaseWrapper(stock["default"], alias="default")
    connection.connect()

    assert connection.transaction_mode is None
    assert _pragma(connection, "journal_mode") == "delete"
    connection.close()


def test_file_that_cannot_be_changed_still_opens(tmp_path: Path) -> None:
    path = tmp_path / "db.sqlite3"
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE t (n INTEGER)")

    connection = _connect(f"file:{path}?mode=ro", uri=True)

    assert _pragma(connection, "journal_mode") == "delete"
    connection.close()


def test_memory_database_stays_in_memory() -> None:
    connection = _connect(":memory:")

    assert _pragma(connection, "journal_mode") == "memory"
    connection.close()
