"""Puts the tables back to what the migrations left, after a test that commits.

Django's flush empties all of them and then announces a migration, which makes content types,
permissions and our own rows anew: a third of a second a test on PostgreSQL, though most tests
write to a few tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction

_Rows = list[tuple[Any, ...]]


class Baseline:
    """The rows of a new test database."""

    def __init__(self) -> None:
        names = connection.introspection.django_table_names(only_existing=True, include_views=False)
        rows = {name: _read(name) for name in names}
        self._filled = {name: found for name, found in rows.items() if found}
        self._empty = [name for name in names if name not in self._filled]

    def restore(self) -> None:
        """Delete what was added, and put back what was changed or deleted."""
        with transaction.atomic():
            # Foreign keys are looked at when it commits, so that no order is needed.
            for name in self._added_to():
                _delete(name)
            for name, rows in self._filled.items():
                if _read(name) != rows:
                    _delete(name)
                    _insert(name, rows)
        ContentType.objects.clear_cache()

    def _added_to(self) -> list[str]:
        looks = [
            f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {_quoted(name)})" for name in self._empty
        ]
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(looks))
            return [name for (name,) in cursor.fetchall()]


def _read(name: str) -> _Rows:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {_quoted(name)}")
        return sorted(cursor.fetchall(), key=repr)


def _delete(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {_quoted(name)}")


def _insert(name: str, rows: Sequence[tuple[Any, ...]]) -> None:
    places = ", ".join(["%s"] * len(rows[0]))
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {_quoted(name)} VALUES ({places})", rows)


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
