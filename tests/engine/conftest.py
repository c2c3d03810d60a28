"""Fixtures of the tests that drive the engine in the test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from inngest_django import clock
from inngest_django.client import Inngest
from inngest_django.engine import hints, sync, transactions
from inngest_django.functions import registry
from tests.engine.support import Engine


@pytest.fixture
def client() -> Inngest:
    return Inngest(app_id="test", is_production=False)


@pytest.fixture
def engine(transactional_db: None, client: Inngest) -> Iterator[Engine]:
    """The engine with a clock that stands still and hints that go nowhere by themselves."""
    engine = Engine(client)
    previous = hints.install(engine)
    sync.forget()
    clock.move(transactions.now())
    try:
        with registry.only([]):
            yield engine
    finally:
        clock.move(None)
        hints.install(previous)
        sync.forget()
