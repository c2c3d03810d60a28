"""A small Django project of its own, in its own processes, whose settings a test chooses.

Its web server and its worker are two processes that share nothing but the database: the
broker of the web server is in its own memory, so that no message of it ever arrives.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.packaging.project import beside, pristine
from tests.processes import wait_until
from tests.repo.readme import ROOT

_SETTINGS = """
from mysite.stock import *
from mysite.stock import BASE_DIR, INSTALLED_APPS

INSTALLED_APPS = [
    *INSTALLED_APPS, "rest_framework", "django_celery_beat", "inngest_django", "shop",
]
ALLOWED_HOSTS = ["*"]
CELERY_BROKER_URL = "memory://"
"""
_CELERY = """
from celery import Celery

app = Celery("mysite")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
"""
_MODELS = """
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
import uuid


class Order(models.Model):
    name = models.CharField(max_length=50)
    state = models.CharField(max_length=50, default="new")


class Customers(BaseUserManager):
    def create_superuser(self, email, password=None):
        customer = self.model(email=email, is_staff=True, is_superuser=True)
        customer.set_password(password)
        customer.save(using=self._db)
        return customer


class Customer(AbstractBaseUser, PermissionsMixin):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)

    USERNAME_FIELD = "email"
    objects = Customers()

    class Meta:
        swappable = "AUTH_USER_MODEL"
"""
_FUNCTIONS = """
import time
from datetime import datetime, timedelta

from inngest_django import Context, ContextSync, Inngest, TriggerCron, TriggerEvent
from shop.models import Order

client = Inngest(app_id="shop")


@client.create_function(fn_id="fulfil", trigger=TriggerEvent(event="shop/ordered"))
def fulfil(ctx: ContextSync) -> str:
    order = Order.objects.filter(pk=ctx.event.data["order"])
    name = ctx.step.run("pack", lambda: order.get().name)
    ctx.step.sleep("rest", "1s")
    ctx.step.transaction("ship", lambda: order.update(state="shipped"))
    return name


@client.create_function(fn_id="fulfil-async", trigger=TriggerEvent(event="shop/ordered.async"))
async def fulfil_async(ctx: Context) -> str:
    order = Order.objects.filter(pk=ctx.event.data["order"])

    async def pack() -> str:
        return (await order.aget()).name

    async def ship() -> int:
        return await order.aupdate(state="shipped")

    name = await ctx.step.run("pack", pack)
    await ctx.step.sleep("rest", "1s")
    await ctx.step.run("ship", ship)
    return name


@client.create_function(fn_id="patient", trigger=TriggerEvent(event="shop/patience"))
def patient(ctx: ContextSync) -> None:
    ctx.step.wait_for_event("never", event="shop/nothing", timeout="300d")


@client.create_function(fn_id="alarm", trigger=TriggerEvent(event="shop/alarm"))
def alarm(ctx: ContextSync) -> list[float]:
    def choose() -> list:
        moment = datetime.now() + timedelta(seconds=1)
        return [moment.isoformat(), moment.timestamp()]

    local, due = ctx.step.run("choose", choose)
    ctx.step.sleep_until("wait", datetime.fromisoformat(local))
    return [due, ctx.step.run("wake", time.time)]


@client.create_function(fn_id="new-year", trigger=TriggerCron(cron="0 0 1 1 *"))
def new_year(ctx: ContextSync) -> str:
    return ctx.event.data["scheduledAt"]
"""
# As if the last New Year, in UTC, were now.
_NEW_YEAR = """
import json
from datetime import timezone
from inngest_django.clock import now
from inngest_django.models import Schedule
[schedule] = Schedule.objects.all()
next_at = schedule.next_at.astimezone(timezone.utc)
last = next_at.replace(year=next_at.year - 1)
Schedule.objects.update(next_at=last, fires_at=now())
print(json.dumps([next_at.isoformat(), last.year]))
"""
_URLS = """
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from inngest_django import Event
from shop.functions import client
from shop.models import Order


def order(request: HttpRequest) -> JsonResponse:
    made = Order.objects.create(name=request.GET["name"])
    [event] = client.send_sync(Event(name="shop/ordered", data={"order": made.pk}))
    if "fail" in request.GET:
        raise ValueError("after the event was sent")
    return JsonResponse({"order": made.pk, "event": event})


@transaction.non_atomic_requests
async def order_async(request: HttpRequest) -> JsonResponse:
    made = await Order.objects.acreate(name=request.GET["name"])
    [event] = await client.send(Event(name="shop/ordered.async", data={"order": made.pk}))
    return JsonResponse({"order": made.pk, "event": event})


urlpatterns = [
    path("admin/", admin.site.urls), path("order", order), path("order-async", order_async),
]
"""
_WSGI = """
from wsgiref.simple_server import make_server
from mysite.wsgi import application

server = make_server("127.0.0.1", 0, application)
print(f"serving on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"""
_ASGI = """
import socket
import uvicorn

held = socket.create_server(("127.0.0.1", 0))
config = uvicorn.Config("mysite.asgi:application", lifespan="off", log_level="warning")
print(f"serving on http://127.0.0.1:{held.getsockname()[1]}", flush=True)
uvicorn.Server(config).run([held])
"""


class Site:
    """A project made by ``startproject``, with a shop in it and the settings of a test."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.folder = folder / "site"
        self.folder.mkdir()
        self._django("startproject", "mysite", ".")
        self._django("startapp", "shop")
        (self.folder / "mysite" / "settings.py").rename(self.folder / "mysite" / "stock.py")
        for name, text in (
            ("mysite/settings.py", _SETTINGS + settings),
            ("mysite/__init__.py", "from mysite.celery import app as celery_app\n"),
            ("mysite/celery.py", _CELERY),
            ("mysite/urls.py", _URLS),
            ("shop/models.py", _MODELS),
            ("shop/functions.py", _FUNCTIONS),
            ("serve_wsgi.py", _WSGI),
            ("serve_asgi.py", _ASGI),
        ):
            (self.folder / name).write_text(text)
        self.manage("makemigrations", "shop", "--verbosity", "0")

    def migrate(self, *aliases: str) -> None:
        """Create the tables, in the default database unless told."""
        for alias in aliases or ("default",):
            self.manage("migrate", "--verbosity", "0", "--database", alias)

    def manage(self, *arguments: str) -> str:
        """Run a management command and return what it printed."""
        return self._run([sys.executable, "manage.py", *arguments])

    def shell(self, code: str) -> Any:
        """Return what code in the project prints as JSON."""
        # -v 0: newer shells tell what they import.
        return json.loads(self.manage("shell", "-v", "0", "-c", code))

    def run_of(self, event_id: str, status: str = "completed") -> dict[str, Any]:
        """Return the run that an event started, once it has a status."""

        def there() -> dict[str, Any] | None:
            runs = self._runs(event_id)
            return runs[0] if runs and runs[0]["status"] == status else None

        return wait_until(
            there, 60, what=f"run with status {status}", explain=lambda: str(self._runs(event_id))
        )

    def _runs(self, event_id: str) -> list[dict[str, Any]]:
        found = json.loads(self.manage("inngest_runs", "--event", event_id, "--json"))
        assert isinstance(found, list)
        return found

    def new_year(self) -> tuple[str, str, str]:
        """Let a schedule's last time be now; returns its next one, its year, and what ran."""
        next_at, year = self.shell(_NEW_YEAR)

        def there() -> str | None:
            words = ("--function", "shop-new-year", "--status", "completed", "--json")
            runs = json.loads(self.manage("inngest_runs", *words) or "[]")
            return runs[0]["output"] if runs else None

        return next_at, str(year), wait_until(there, 60, what="a run at New Year")

    def order(self, number: int) -> str:
        """Return the state of an order."""
        state = self.shell(
            "import json; from shop.models import Order;"
            f" print(json.dumps(Order.objects.get(pk={number}).state))"
        )
        assert isinstance(state, str)
        return state

    @contextmanager
    def serving(self, interface: str) -> Iterator[str]:
        """Run web server and worker beside the block; gives the server's address."""
        with ExitStack() as stack:
            stack.enter_context(self.working())
            marker = "serving on "
            script = f"serve_{interface}.py"
            log = stack.enter_context(self._process([sys.executable, script], ready=marker))
            yield log.read_text().partition(marker)[2].split()[0]

    @contextmanager
    def working(self) -> Iterator[None]:
        """Run worker and beat beside the block."""
        command = "manage.py inngest_dev --no-web --no-reload"
        with self._process([sys.executable, *command.split()], ready="Ctrl"):
            yield

    @contextmanager
    def _process(self, command: list[str], *, ready: str) -> Iterator[Path]:
        log = self.folder / f"{command[1]}.log"
        with beside(command, folder=self.folder, env=self._environment(), log=log, ready=ready):
            yield log

    def _django(self, *arguments: str) -> None:
        self._run([sys.executable, "-m", "django", *arguments])

    def _run(self, command: list[str]) -> str:
        result = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def _environment(self) -> dict[str, str]:
        # Django's own variable would name the tests' settings.
        return {
            **pristine(PYTHONPATH=str(ROOT), PYTHONDONTWRITEBYTECODE="1", PYTHONUNBUFFERED="1"),
            **{key: value for key, value in os.environ.items() if key.startswith("PG")},
        }


def post(address: str, path: str) -> tuple[int, dict[str, Any]]:
    """Ask for a page; returns the status and, when that is 200, the decoded answer."""
    try:
        with urllib.request.urlopen(f"{address}{path}", timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, {}
