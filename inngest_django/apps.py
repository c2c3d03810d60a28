"""The Django application."""

from __future__ import annotations

import logging
from typing import Any

from django.apps import AppConfig
from django.db import DatabaseError
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

logger = logging.getLogger(__name__)


class InngestDjangoConfig(AppConfig):
    """Discovers ``functions.py`` of every installed app, as ``admin.py`` is."""

    name = "inngest_django"
    label = "inngest_django"
    verbose_name = _("Durable functions")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect what the app needs in every process; opens no connection of any kind."""
        from inngest_django import checks, sqlite  # noqa: F401 - checks register themselves
        from inngest_django.dispatch import beat, worker  # noqa: F401 - so do receivers
        from inngest_django.dispatch.publisher import CeleryPublisher
        from inngest_django.engine import hints
        from inngest_django.functions import registry

        connection_created.connect(sqlite.prepare, dispatch_uid="inngest_django.sqlite")
        post_migrate.connect(
            register_functions, sender=self, dispatch_uid="inngest_django.register"
        )
        post_migrate.connect(
            beat.ensure_periodic_tasks, sender=self, dispatch_uid="inngest_django.beat"
        )
        hints.install(CeleryPublisher())
        registry.discover()


def register_functions(*, using: str, **_: Any) -> None:
    """Write the registered functions to their table, once it exists."""
    from django.db import connections, transaction

    from inngest_django import conf
    from inngest_django.engine import sync
    from inngest_django.models import Function

    connection = connections[using]
    if using != conf.get().DATABASE:
        return
    with connection.cursor() as cursor:
        table = Function._meta.db_table
        if table not in connection.introspection.table_names(cursor):
            return
    try:
        with transaction.atomic(using=using):
            sync.register()
    except DatabaseError as error:
        # On the way back to an older migration the table lacks columns. Workers try again.
        logger.warning("Functions not registered after migrate: %s", error)
