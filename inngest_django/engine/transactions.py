"""The engine's transactions: on its own alias, writing from the start, tried again."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    connections,
    transaction,
)
from django.utils import timezone

from inngest_django import clock
from inngest_django.models.base import alias

logger = logging.getLogger(__name__)

T = TypeVar("T")
_TRIES = 6
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_vendors: dict[str, str] = {}


def connection() -> Any:
    """Return this thread's connection to the engine's database."""
    return connections[alias()]


def is_postgresql() -> bool:
    """Whether the engine's database is PostgreSQL."""
    return vendor() == "postgresql"


def vendor() -> str:
    """Return the kind of the engine's database, which an alias keeps for good.

    Each statement asks; finding the thread's connection for it is dear.
    """
    name = alias()
    found = _vendors.get(name)
    if found is None:
        found = _vendors[name] = str(connections[name].vendor)
    return found


def now_sql() -> str:
    """Return the SQL text of now on the engine's database."""
    return clock.sql(vendor())


@contextlib.contextmanager
def write() -> Iterator[Any]:
    """Open a transaction that may write, and give its cursor.

    On SQLite the first statement of a transaction that will write must be a write: a read
    that upgrades later fails at once when somebody else wrote in between.
    """
    held = connection()
    with transaction.atomic(using=alias()), held.cursor() as cursor:
        if held.vendor == "sqlite" and getattr(held, "transaction_mode", None) != "IMMEDIATE":
            cursor.execute("UPDATE inngest_pulse SET id = id WHERE id = 0")
        yield cursor


@contextlib.contextmanager
def all_rolled_back() -> Iterator[None]:
    """Undo what the block writes, in every database; its on-commit callbacks never run.

    Databases that cannot be opened are left out: nobody can write there either.
    """
    with contextlib.ExitStack() as stack:
        for name in connections:
            try:
                connections[name].ensure_connection()
            # Test runners forbid databases with errors of these two kinds.
            except (DatabaseError, ImproperlyConfigured, RuntimeError, AssertionError):
                continue
            stack.enter_context(transaction.atomic(using=name))
            stack.callback(transaction.set_rollback, True, using=name)
        yield


def retrying(work: Callable[[], T], *, tries: int = _TRIES) -> T:
    """Run ``work``, which opens its own transaction, again after faults that pass.

    Deadlocks, lock time-outs, a locked SQLite file and lost connections pass. Trying again
    after a commit whose answer was lost is safe for outcomes: the token is gone by then.
    Inside somebody's transaction nothing is tried again, because that one is broken too.
    """
    for attempt in range(tries):
        try:
            return work()
        except (OperationalError, InterfaceError) as error:
            held = connection()
            # Work's own transaction has ended by now.
            if held.in_atomic_block or attempt == tries - 1:
                raise
            if not held.is_usable():
                held.close()
            logger.info(
                "database fault %s, trying again",
                sqlstate(error) or type(error).__name__,
                extra={"fault": type(error).__name__},
            )
            time.sleep(random.uniform(0.02, 0.1) * 2**attempt)  # noqa: S311, TID251
    raise AssertionError("unreachable")


def sqlstate(error: BaseException) -> str | None:
    """Return the code that the database gave for an error of Django's, when it gave one."""
    found = getattr(error.__cause__, "sqlstate", None)  # of psycopg 2: pgcode
    return found or getattr(error.__cause__, "pgcode", None)


def after_commit(work: Callable[[], None]) -> None:
    """Run ``work`` once the surrounding transaction commits; its errors are only logged."""
    transaction.on_commit(work, using=alias(), robust=True)


def as_moment(value: Any) -> dt.datetime:
    """Return a database value as an aware datetime.

    SQLite hands out text in UTC; PostgreSQL, with ``USE_TZ = False``, naive local time. A
    number counts microseconds since 1970.
    """
    if isinstance(value, int):
        return _EPOCH + dt.timedelta(microseconds=value)
    if not isinstance(value, dt.datetime):
        return dt.datetime.fromisoformat(str(value)).replace(tzinfo=dt.UTC)
    if value.tzinfo is not None:
        return value
    return timezone.make_aware(value, timezone.get_default_timezone())


def now() -> dt.datetime:
    """Return the database's now."""
    with connection().cursor() as cursor:
        cursor.execute(f"SELECT {now_sql()}")
        return as_moment(cursor.fetchone()[0])


def in_list(values: int) -> str:
    """Return that many placeholders, for an SQL ``IN``."""
    return ", ".join(["%s"] * values)
