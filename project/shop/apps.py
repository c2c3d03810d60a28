"""The Django application."""

from __future__ import annotations

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """The shop."""

    name = "project.shop"
    label = "shop"
    default_auto_field = "django.db.models.BigAutoField"
