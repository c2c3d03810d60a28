"""The Django application."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class InngestDjangoConfig(AppConfig):
    """Discovers ``functions.py`` of every installed app, as ``admin.py`` is."""

    name = "inngest_django"
    label = "inngest_django"
    verbose_name = _("Durable functions")
    default_auto_field = "django.db.models.BigAutoField"
