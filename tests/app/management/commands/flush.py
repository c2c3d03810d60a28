"""``flush`` as the tests want it: what Django calls after each test that commits.

Django truncates every table, half a second on PostgreSQL, and does all that follows a
migration. Deleting the few rows of a test takes milliseconds; permissions and content types
stay as they are, and of the rest only this project's own part is done again.
"""

from __future__ import annotations

import functools
from typing import Any

from django.core.management.commands import flush
from django.db import connections, transaction

from inngest_django.apps import register_functions
from inngest_django.dispatch import beat

_KEPT = {"django_content_type", "auth_permission", "django_migrations"}
# A table that a test has filled is truncated, so that no later one reads over its dead rows.
_MANY_BYTES = 4 << 20


class Command(flush.Command):
    """Deletes all rows of the app's and the project's tables."""

    def handle(self, **options: Any) -> None:
        """Do it."""
        alias = options["database"]
        self._empty(alias)
        register_functions(using=alias)
        beat.ensure_periodic_tasks(using=alias)

    def _empty(self, alias: str) -> None:
        with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            names = [connections[alias].ops.quote_name(name) for name in _tables(alias)]
            if connections[alias].vendor == "postgresql":
                cursor.execute(
                    "SELECT 1 FROM unnest(%s::text[]) name WHERE pg_relation_size(name::regclass) > %s",
                    [names, _MANY_BYTES],
                )
                if cursor.fetchone():
                    cursor.execute(f"TRUNCATE {', '.join(names)}")
                    return
            for name in names:
                cursor.execute(f"DELETE FROM {name}")


@functools.cache
def _tables(alias: str) -> list[str]:
    found = connections[alias].introspection.django_table_names(
        only_existing=True, include_views=False
    )
    return sorted(set(found) - _KEPT)
