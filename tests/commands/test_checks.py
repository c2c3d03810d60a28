from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core import checks as django_checks

from inngest_django import checks
from inngest_django.client import Inngest
from inngest_django.functions import flow_control, registry
from inngest_django.functions.triggers import TriggerEvent

TRIGGER = TriggerEvent(event="a/b")


@pytest.fixture(autouse=True)
def no_functions() -> Iterator[None]:
    with registry.only([]):
        yield


def found() -> dict[str, list[str]]:
    """The app's messages by id, through Django's own registry."""
    messages: dict[str, list[str]] = {}
    for message in django_checks.run_checks():
        if (message.id or "").startswith("inngest."):
            messages.setdefault(message.id, []).append(f"{message.msg} {message.hint}")
    return messages


def function(fn_id: str, **options: Any) -> Any:
    client = Inngest(app_id="shop")

    def handler(ctx: Any) -> None: ...

    return client.create_function(fn_id=fn_id, trigger=options.pop("trigger", TRIGGER), **options)(
        handler
    )


def test_a_sound_project_has_no_messages() -> None:
    assert found() == {}


def test_unknown_and_bad_settings_are_errors(settings: Any) -> None:
    settings.INNGEST = {"LEASE_TLL": "20s", "TICK": "-1s", "EVENT_KEYS": "secret-key"}

    messages = found()["inngest.E001"]

    assert len(messages) == 3
    assert "Did you mean 'LEASE_TTL'?" in messages[0]
    assert "secret-key" not in "".join(messages)


def test_two_functions_with_one_id_are_an_error() -> None:
    with registry.only([function("same"), function("same"), function("other")]):
        (message,) = found()["inngest.E002"]

    assert '"shop-same"' in message
    assert "handler" in message


def test_one_function_registered_twice_is_no_error() -> None:
    once = function("same")
    with registry.only([once]):
        registry.register(once)

        assert found() == {}


class KeepsAway:
    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        if hints.get("model_name") == "step":
            return False
        return None


class SendsReadsAway:
    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "replica" if model.__name__ == "Run" else None


class LeavesAlone:
    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return None

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return "default"


@pytest.mark.parametrize(
    ("router", "words"),
    [(KeepsAway, "do not allow these tables in 'default': Step"),
     (SendsReadsAway, "send reads of these tables to 'replica': Run")],
)  # fmt: skip
def test_router_that_splits_the_tables_is_an_error(settings: Any, router: type, words: str) -> None:
    settings.DATABASE_ROUTERS = [router()]

    assert words in found()["inngest.E003"][0]


def test_router_that_leaves_the_tables_together_is_no_error(settings: Any) -> None:
    settings.DATABASE_ROUTERS = [LeavesAlone()]

    assert found() == {}


@pytest.mark.sqlite
def test_times_without_zone_on_sqlite_are_an_error(settings: Any) -> None:
    settings.USE_TZ = False

    assert "USE_TZ" in found()["inngest.E004"][0]


def test_unknown_database_is_an_error(settings: Any) -> None:
    settings.INNGEST = {"DATABASE": "durable"}

    assert "It has: default." in found()["inngest.E005"][0]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"batch_events": flow_control.Batch(max_size=2, timeout=1000)}, "batchEvents"),
        ({"concurrency": [flow_control.Concurrency(limit=1)]}, "concurrency"),
        ({"debounce": flow_control.Debounce(period=1000)}, "debounce"),
        ({"priority": flow_control.Priority(run="1")}, "priority"),
        ({"rate_limit": flow_control.RateLimit(limit=1, period=1000)}, "rateLimit"),
        ({"singleton": flow_control.Singleton(mode="skip")}, "singleton"),
        ({"throttle": flow_control.Throttle(limit=1, period=1000)}, "throttle"),
        ({"timeouts": flow_control.Timeouts(start=1000)}, "timeouts"),
    ],
)
def test_option_that_is_not_enforced_yet_is_a_warning(options: dict[str, Any], name: str) -> None:
    with registry.only([function("limited", **options)]):
        (message,) = found()["inngest.W001"]

    assert f"'shop-limited' declares {name}, which" in message


def test_several_options_of_one_function_are_one_warning() -> None:
    limited = function(
        "limited",
        concurrency=[flow_control.Concurrency(limit=1)],
        throttle=flow_control.Throttle(limit=1, period=1000),
    )
    with registry.only([limited]):
        (message,) = found()["inngest.W001"]

    assert "concurrency, throttle" in message


def test_options_that_are_enforced_give_no_warning() -> None:
    sound = function(
        "sound",
        idempotency="event.data.id",
        retries=2,
        cancel=[flow_control.Cancel(event="a/c", if_exp="event.data.id == async.data.id")],
    )
    with registry.only([sound]):
        assert found() == {}


def test_old_sqlite_is_a_warning() -> None:
    (message,) = checks.sqlite_version((3, 34, 1))

    assert message.id == "inngest.W002"
    assert checks.sqlite_version((3, 35, 0)) == []


# The source -------------------------------------------------------------------------------


def twice(ctx: Any) -> None:
    ctx.step.run("a", print)
    ctx.step.run("a", print)


def of(handler: Any, **options: Any) -> Any:
    options = {"fn_id": "read", "trigger": TRIGGER, **options}
    return Inngest(app_id="shop").create_function(**options)(handler)


def test_a_fault_in_the_source_is_a_warning_with_its_place() -> None:
    with registry.only([of(twice)]):
        [message] = django_checks.run_checks()

    assert message.id == "inngest.W010"
    assert message.level == django_checks.WARNING
    line = twice.__code__.co_firstlineno + 2
    assert str(message).startswith(f"tests/commands/test_checks.py:{line}: (inngest.W010)")
    assert "'shop-read'" in message.msg
    assert message.hint


def test_the_failure_handler_is_read_too() -> None:
    with registry.only([of(lambda ctx: None, on_failure=twice)]):
        [message] = found()["inngest.W010"]

    assert "'shop-read-failure'" in message


def test_a_check_can_be_silenced_for_the_project(settings: Any) -> None:
    settings.SILENCED_SYSTEM_CHECKS = ["inngest.W010"]

    with registry.only([of(twice)]):
        [message] = django_checks.run_checks()

    assert message.is_silenced()


def test_a_reader_that_fails_stops_no_command(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any) -> Any:
        raise RecursionError

    monkeypatch.setattr("inngest_django.source.rules.walk", fails)
    with registry.only([of(twice)]):
        assert found() == {}

    assert "could not be checked" in caplog.text
