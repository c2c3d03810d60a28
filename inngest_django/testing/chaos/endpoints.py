"""Where the project's Celery app, database and broker are, and how to get between."""

from __future__ import annotations

import dataclasses
import os
import urllib.parse
from pathlib import Path
from typing import Any

from celery.app.utils import find_app
from django.conf import settings
from django.db import connections

from inngest_django.models.base import alias

_PORTS = {"amqp": 5672, "pyamqp": 5672, "redis": 6379}
_SOCKETS = ("/var/run/postgresql", "/tmp")  # noqa: S108 - where libpq looks


class UsageError(Exception):
    """The project cannot be tested so; the message says what to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """What a proxy connects to: an address, or the path of a Unix socket as ``host``."""

    host: str
    port: int


@dataclasses.dataclass(frozen=True, slots=True)
class Broker:
    """The project's broker.

    Attributes:
        url: As the project has it.
        transport: ``amqp`` or ``redis``.
    """

    url: str
    transport: str
    server: Server

    def through(self, host: str, port: int) -> str:
        """Return its URL with another address."""
        parts = urllib.parse.urlsplit(self.url)
        login, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{login}{at}{host}:{port}").geturl()


def find_celery(given: str | None) -> tuple[str, Any]:
    """Return where the project's Celery app is, and the app.

    Raises:
        UsageError: There is none.
    """
    modules = (str(settings.SETTINGS_MODULE), getattr(settings, "WSGI_APPLICATION", None) or "")
    packages = [module.partition(".")[0] for module in modules if module]
    for name in [given] if given else dict.fromkeys(packages):
        try:
            return name, find_app(name)
        except (ImportError, AttributeError) as error:
            if given:
                raise UsageError(f"No Celery app at --app {given}: {error}.") from None
    raise UsageError(
        "No Celery app found beside the settings module. Write mysite/celery.py and import it in"
        ' mysite/__init__.py, as the guide "Deploy worker and beat" shows, or name it with'
        " --app, as in celery -A."
    )


def find_broker(app: Any) -> Broker:
    """Return the project's broker.

    Raises:
        UsageError: It is none that a proxy can stand before.
    """
    value = app.conf.broker_url or ""
    url = str(value[0] if isinstance(value, list | tuple) and value else value).split(";")[0]
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in _PORTS or getattr(app.conf, "broker_use_ssl", None):
        raise UsageError(
            f"The broker's transport is {parts.scheme or 'not set'!r}, perhaps with TLS. Faults"
            " are injected by a TCP proxy, without TLS, in front of RabbitMQ (amqp://) or Redis (redis://): give"
            " such a URL as CELERY_BROKER_URL for this command."
        )
    server = Server(parts.hostname or "127.0.0.1", parts.port or _PORTS[parts.scheme])
    transport = "redis" if parts.scheme == "redis" else "amqp"
    return Broker(url, transport, server)


def find_database() -> Server | None:
    """Return the engine's database server, or nothing for SQLite, which has none.

    Raises:
        UsageError: It is a kind of database for which this is not made.
    """
    connection = connections[alias()]
    given = connection.settings_dict
    if connection.vendor == "sqlite":
        if connection.is_in_memory_db():  # type: ignore[attr-defined]
            raise UsageError("The database is in memory: workers of their own cannot see it.")
        return None
    if connection.vendor != "postgresql":
        raise UsageError(f"The database is {connection.display_name}: use PostgreSQL or SQLite.")
    if given["OPTIONS"].get("service"):
        raise UsageError(
            f"DATABASES[{alias()!r}] names a service file: give HOST and PORT for this command."
        )
    host = str(given["OPTIONS"].get("hostaddr") or given["HOST"] or os.environ.get("PGHOST", ""))
    port = int(given["PORT"] or os.environ.get("PGPORT", "5432"))
    for folder in [host] if host.startswith("/") else [] if host else _SOCKETS:
        path = Path(folder) / f".s.PGSQL.{port}"
        if path.exists():
            return Server(str(path), port)
    return Server(host or "127.0.0.1", port)


def database_changes(host: str, port: int) -> dict[str, Any]:
    """Return what to change in ``DATABASES`` for the engine's alias to go through a proxy."""
    given = connections[alias()].settings_dict
    name = str(given["HOST"] or "")
    is_named = bool(name) and not name.startswith("/")
    return {
        "NAME": str(given["NAME"]),
        "HOST": name if is_named else host,
        "PORT": str(port),
        # The name stays for the server's certificate. A reply can only be dropped unread.
        "OPTIONS": {
            "hostaddr": host,
            **({} if "sslmode" in given["OPTIONS"] else {"sslmode": "disable"}),
        },
    }
