"""What inngest_chaos refuses, and how it finds the stack."""

from __future__ import annotations

import types
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections
from django.test import override_settings

from inngest_django.engine import transactions
from inngest_django.models import Pulse
from inngest_django.testing import Durable
from inngest_django.testing.chaos import endpoints, functions
from inngest_django.testing.chaos.session import Session
from tests import factories

pytestmark = pytest.mark.django_db


def app(url: str) -> Any:
    return types.SimpleNamespace(conf=types.SimpleNamespace(broker_url=url))


@pytest.fixture(autouse=True)
def never_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack that would be accepted otherwise, and on which nothing may be started."""

    def started(self: Session) -> None:
        raise AssertionError("it was not refused")

    monkeypatch.setattr(Session, "run", started)
    monkeypatch.setattr(endpoints, "find_celery", lambda given: ("project", app("amqp://x")))
    Pulse.objects.update(ticked_at=None)


def refused(**options: object) -> str:
    with pytest.raises(CommandError) as caught:
        call_command("inngest_chaos", **options)
    assert caught.value.returncode == 2
    return str(caught.value)


def accepted(**options: object) -> None:
    with pytest.raises(AssertionError, match="it was not refused"):
        call_command("inngest_chaos", **options)


@override_settings(DEBUG=False)
def test_settings_without_debug_need_a_flag() -> None:
    assert "DEBUG is False" in (message := refused())
    assert "--without-debug" in message
    accepted(without_debug=True)


@override_settings(DEBUG=True)
def test_a_database_that_holds_runs_needs_a_flag() -> None:
    accepted()
    factories.run()

    assert "The database holds runs" in (message := refused())
    assert "--with-runs" in message
    accepted(with_runs=True)


@override_settings(DEBUG=True)
def test_what_an_earlier_session_left_is_no_reason_to_refuse() -> None:
    factories.run(function_id=f"{functions.PREFIX}-group")

    accepted()


@override_settings(DEBUG=True)
def test_other_workers_on_the_database_need_a_flag() -> None:
    Pulse.objects.update_or_create(id=1, defaults={"ticked_at": transactions.now()})

    assert "A worker or beat ticked 0 s ago" in (message := refused())
    assert "--beside-workers" in message
    accepted(beside_workers=True)


@override_settings(DEBUG=True)
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("minutes", 0.0),
        ("minutes", float("nan")),
        ("workers", 0),
        ("concurrency", 100),
        ("beats", -1),
        ("rate", 0.0),
        ("lease", 0.5),
        ("bound", 0.0),
    ],
)
def test_numbers_out_of_range_are_refused(option: str, value: float) -> None:
    assert f"--{option} must be from" in refused(**{option: value})


def test_a_broker_with_tls_is_refused_by_its_setting_too() -> None:
    found = app("amqp://x")
    found.conf.broker_use_ssl = True

    with pytest.raises(endpoints.UsageError, match="without TLS"):
        endpoints.find_broker(found)


@pytest.mark.parametrize("url", ["memory://", "", "amqps://x", "rediss://x", "sqs://"])
def test_a_broker_that_no_proxy_can_stand_before_is_refused(url: str) -> None:
    with pytest.raises(endpoints.UsageError, match=r"in front of RabbitMQ .* or Redis"):
        endpoints.find_broker(app(url))


@pytest.mark.parametrize(
    ("url", "server", "through"),
    [
        (
            "amqp://me:s%2Fcret@rabbit:5673/vhost?a=1",
            ("rabbit", 5673),
            "amqp://me:s%2Fcret@127.0.0.1:99/vhost?a=1",
        ),
        ("amqp://rabbit//;amqp://other//", ("rabbit", 5672), "amqp://127.0.0.1:99//"),
        ("redis://:word@[::1]/3", ("::1", 6379), "redis://:word@127.0.0.1:99/3"),
    ],
)
def test_a_brokers_url_leads_through_the_proxy(
    url: str, server: tuple[str, int], through: str
) -> None:
    broker = endpoints.find_broker(app(url))

    assert (broker.server.host, broker.server.port) == server
    assert broker.through("127.0.0.1", 99) == through


def test_a_missing_celery_app_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with override_settings(WSGI_APPLICATION="nowhere_at_all.wsgi.application"):
        with pytest.raises(endpoints.UsageError, match=r"Write mysite/celery.py .* --app"):
            endpoints.find_celery(None)
        with pytest.raises(endpoints.UsageError, match="No Celery app at --app nowhere_at_all"):
            endpoints.find_celery("nowhere_at_all")
    assert endpoints.find_celery(None)[0] == "project"


@pytest.mark.postgres
def test_the_proxy_takes_the_place_of_the_databases_address() -> None:
    given = connections["default"].settings_dict
    server = endpoints.find_database()
    changes = endpoints.database_changes("127.0.0.1", 99)

    assert server
    assert server.port == int(given["PORT"])
    # The name stays for a certificate; the address is what counts.
    assert changes["HOST"] == given["HOST"]
    assert (changes["PORT"], changes["OPTIONS"]["hostaddr"]) == ("99", "127.0.0.1")


@pytest.mark.sqlite
def test_sqlite_has_no_server() -> None:
    assert endpoints.find_database() is None


def test_the_functions_are_registered_in_no_ordinary_process(durable: Durable) -> None:
    from inngest_django.functions import registry

    assert not {function.id for function in functions.ALL} & set(registry.all())
