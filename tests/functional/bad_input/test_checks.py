"""Faults of the set-up that ``manage.py check`` finds."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.core import checks
from django.test import override_settings

import inngest_django as inngest
from inngest_django.functions import registry
from project.shop import functions as second_module
from tests.app import functions as first_module
from tests.functional.support import client, event_name


def _function(fn_id: str, **options: Any) -> inngest.Function:
    @client.create_function(
        fn_id=fn_id, trigger=inngest.TriggerEvent(event=event_name("checks")), **options
    )
    def handler(ctx: inngest.ContextSync) -> None:
        return None

    return handler


imported = _function("checks-once")


def _found(id_: str) -> list[checks.CheckMessage]:
    return [message for message in checks.run_checks() if message.id == id_]


def test_two_functions_with_one_id() -> None:
    with registry.only([_function("checks-twice"), _function("checks-twice")]):
        [error] = _found("inngest.E002")

    assert error.level >= checks.ERROR
    assert "functional-checks-twice" in error.msg


def test_one_function_in_two_modules_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_module, "imported", imported, raising=False)
    monkeypatch.setattr(second_module, "imported_too", imported, raising=False)
    registry.discover()
    try:
        found = _found("inngest.E002")
        assert registry.get(imported.id) is imported
    finally:
        monkeypatch.undo()
        registry.discover()

    assert found == []


def test_another_function_in_a_second_module_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_module, "imported", imported, raising=False)
    monkeypatch.setattr(second_module, "another", _function("checks-once"), raising=False)
    registry.discover()
    try:
        [error] = _found("inngest.E002")
    finally:
        monkeypatch.undo()
        registry.discover()

    assert imported.id in error.msg


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({"QUEU": "x"}, ["QUEU", "QUEUE"]),
        ({"TICK": "-1s"}, ["TICK", "negative"]),
        ({"LEASE_TTL": "0s"}, ["LEASE_TTL", "zero"]),
        ({"MAX_STEPS": 0}, ["MAX_STEPS", "1"]),
        ({"RETRY_BACKOFF": "15s"}, ["RETRY_BACKOFF", "list"]),
    ],
)
def test_a_setting_that_cannot_be_read(changes: dict[str, object], texts: list[str]) -> None:
    with override_settings(INNGEST={**settings.INNGEST, **changes}):
        [error] = _found("inngest.E001")

    assert error.level >= checks.ERROR
    for text in texts:
        assert text in error.msg


def test_declared_and_not_enforced_yet_is_a_warning() -> None:
    limited = _function("checks-limited", concurrency=[inngest.Concurrency(limit=1)])
    with registry.only([limited]):
        [warning] = _found("inngest.W001")

    assert warning.level == checks.WARNING
    assert "concurrency" in warning.msg


def test_this_project_has_no_fault() -> None:
    assert [m for m in checks.run_checks() if m.level >= checks.ERROR] == []
