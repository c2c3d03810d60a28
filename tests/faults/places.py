"""Moves this process, the worker and beat to another database server or broker, and back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from celery import current_app
from django.core.management import call_command
from django.db import connections

from inngest_django.dispatch import publisher
from tests.faults.servers import LOOPBACK, Postgres
from tests.processes import ProcessStack

DATABASE = "faults"


@contextlib.contextmanager
def tables(server: Postgres) -> Iterator[None]:
    """Move this process alone to this cluster, which gets tables when it has none."""
    connection = connections["default"]
    connection.close()
    known = {key: connection.settings_dict[key] for key in ("HOST", "PORT", "NAME")}
    with server.connect() as session:  # type: ignore[attr-defined]
        is_new = not session.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)
        ).fetchone()
        if is_new:
            session.execute(f"CREATE DATABASE {DATABASE}")
    place = {"HOST": LOOPBACK, "PORT": str(server.port), "NAME": DATABASE}
    connection.settings_dict.update(place)
    try:
        if is_new:
            call_command("migrate", verbosity=0, interactive=False)
            connection.close()
        yield
    finally:
        connection.close()
        connection.settings_dict.update(known)


@contextlib.contextmanager
def database(stack: ProcessStack, server: Postgres) -> Iterator[None]:
    """Be on this cluster."""
    _halt(stack)
    environment = dict(stack.extra_environment)
    try:
        with tables(server):
            stack.extra_environment |= {"PGHOST": LOOPBACK, "PGPORT": str(server.port)}
            stack.start_beat()
            yield
    finally:
        stack.extra_environment = environment
        _halt(stack)
        stack.start()


@contextlib.contextmanager
def broker(stack: ProcessStack, url: str) -> Iterator[None]:
    """Publish to and consume from this broker."""
    _halt(stack)
    known, environment = current_app.conf.broker_url, dict(stack.extra_environment)
    current_app.conf.broker_url = url
    _forget_connections()
    stack.extra_environment |= {"BROKER_URL": url}
    try:
        stack.start_beat()
        yield
    finally:
        current_app.conf.broker_url = known
        _forget_connections()
        stack.extra_environment = environment
        _halt(stack)
        stack.start()


def _halt(stack: ProcessStack) -> None:
    for process in (stack.worker, stack.beat):
        if process is not None:
            process.kill()
    stack.worker = stack.beat = None


def _forget_connections() -> None:
    for each in list(publisher._publishers):
        each.close()
        # An outage of the other one says nothing about this one.
        each._breaker = publisher.Breaker()
