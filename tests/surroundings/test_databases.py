"""Local times in PostgreSQL, and the app's tables in a database of their own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings

from tests.surroundings.site import Site

pytestmark = pytest.mark.timeout(300)

_LOCAL_TIMES = """
USE_TZ = False
TIME_ZONE = "America/New_York"
DATABASES = {{"default": {{
    "ENGINE": "django.db.backends.postgresql", "NAME": {name!r}, "USER": {user!r},
    "PASSWORD": {password!r}, "HOST": {host!r}, "PORT": {port!r},
}}}}
"""
_SEND_ALARM = """
import json
from inngest_django import Event
from shop.functions import client
[event] = client.send_sync(Event(name="shop/alarm"))
print(json.dumps(event))
"""
_TIMES = """
import json
from django.utils import timezone
from inngest_django.models import Run
from inngest_django.clock import now
run = Run.objects.get(function_id="shop-alarm")
print(json.dumps([
    run.queued_at <= run.started_at <= run.ended_at <= now(), timezone.now().tzinfo is None,
]))
"""
_TWO_DATABASES = """
from mysite.stock import DATABASES
DATABASES["jobs"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "jobs.sqlite3"}
INNGEST = {"DATABASE": "jobs"}
DATABASE_ROUTERS = ["mysite.settings.Router"]


class Router:
    def db_for_read(self, model, **hints):
        return "jobs" if model._meta.app_label == "inngest_django" else None

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **hints):
        return (db == "jobs") == (app_label == "inngest_django")
"""
_SEND_ORDER = """
import json
from inngest_django import Event
from shop.functions import client
from shop.models import Order
order = Order.objects.create(name="mug").pk
[event] = client.send_sync(Event(name="shop/ordered.async", data={"order": order}))
print(json.dumps([order, event]))
"""
_TABLES = """
import json
from django.db import connections
from django_celery_beat.models import PeriodicTask
print(json.dumps([{
    alias: sorted(
        name for name in connections[alias].introspection.table_names()
        if name in ("inngest_run", "shop_order")
    )
    for alias in connections
}, PeriodicTask.objects.filter(name__startswith="inngest: ").count()]))
"""


@pytest.fixture
def local_site(tmp_path: Path) -> Iterator[Site]:
    """A site on a PostgreSQL database of its own, with ``USE_TZ = False``."""
    held = settings.DATABASES["default"]
    name = f"test_inngest_local_{uuid.uuid4().hex[:8]}"
    server = {key.lower(): held[key] for key in ("HOST", "PORT", "USER", "PASSWORD")}
    with psycopg.connect(dbname=held["NAME"], autocommit=True, **server) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield Site(tmp_path, _LOCAL_TIMES.format(name=name, **server))
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.postgres
def test_local_times(local_site: Site) -> None:
    local_site.migrate()
    event = local_site.shell(_SEND_ALARM)

    with local_site.working():
        run = local_site.run_of(event)
        next_at, year, output = local_site.new_year()

    assert next_at.endswith("-01-01T00:00:00+00:00")
    assert output == f"{year}-01-01T00:00:00Z"
    due, woken = run["output"]
    assert woken >= due
    # An hour off would be a wrong zone; the sleep was for a second.
    assert woken < due + 1800
    assert local_site.shell(_TIMES) == [True, True]


@pytest.mark.sqlite
def test_tables_in_another_database(tmp_path: Path) -> None:
    site = Site(tmp_path, _TWO_DATABASES)
    site.migrate("default", "jobs")
    site.manage("check", "--database", "default", "--database", "jobs", "--fail-level", "WARNING")
    order, event = site.shell(_SEND_ORDER)

    with site.working():
        run = site.run_of(event)
        _, year, output = site.new_year()

    assert output == f"{year}-01-01T00:00:00Z"
    assert run["output"] == "mug"
    assert site.order(order) == "shipped"
    assert site.shell(_TABLES) == [{"default": ["shop_order"], "jobs": ["inngest_run"]}, 2]
