"""Fixtures of the tests that force interleavings on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from inngest_django.client import Inngest
from inngest_django.functions import registry
from tests.concurrency import stage as stages
from tests.engine.conftest import client, engine

__all__ = ["client", "declare", "engine", "stage"]


@pytest.fixture
def stage(engine: Any) -> Iterator[stages.Stage]:
    """Actors on connections of their own; the clock stands still."""
    with stages.opened() as stage:
        yield stage


@pytest.fixture
def declare(client: Inngest, engine: Any) -> Any:
    """Return a decorator that declares a durable function for this test alone."""
    from inngest_django.functions.triggers import TriggerEvent

    def declare(**options: Any) -> Any:
        def decorate(handler: Any) -> Any:
            options.setdefault("fn_id", handler.__name__)
            options.setdefault("trigger", TriggerEvent(event="test/started"))
            function = client.create_function(**options)(handler)
            registry.register(function)
            return function

        return decorate

    return declare
