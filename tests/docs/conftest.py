"""What executes the documentation: each page's Python, and its functions through the engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from inngest_django import clock
from inngest_django.client import Inngest
from inngest_django.engine import hints, sync, transactions
from inngest_django.functions import registry
from tests.docs.execution import Executed, execute
from tests.engine.support import Engine


@pytest.fixture
def executed(request: pytest.FixtureRequest) -> Executed:
    """The page that the test's mark names, executed; its functions are not registered."""
    return execute(request.param)


@pytest.fixture
def engine(transactional_db: None) -> Iterator[Engine]:
    """The engine with a clock that stands still, hints kept in a list, and no functions."""
    engine = Engine(Inngest(app_id="reader", is_production=False))
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
