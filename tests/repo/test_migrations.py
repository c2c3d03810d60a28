"""The migrations and the models say the same."""

from __future__ import annotations

import re

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader

OURS = ("inngest_django", "shop")


@pytest.mark.django_db
def test_models_need_no_further_migration() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize("label", OURS)
def test_migrations_are_named_and_have_one_leaf(label: str) -> None:
    loader = MigrationLoader(None)

    names = [name for app, name in loader.disk_migrations if app == label]

    assert len(loader.graph.leaf_nodes(label)) == 1
    assert names
    assert not [name for name in names if re.match(r"\d+_auto_", name)]
    assert apps.get_app_config(label).default_auto_field.endswith("BigAutoField")
