"""Fixtures of the tests that force interleavings on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from inngest_django.client import Inngest
from inngest_django.engine import hot_path
from inngest_django.functions import registry
from inngest_django.models import Run
from tests.concurrency import stage as stages
from tests.engine.conftest import client, engine
from tests.engine.support import Engine

__all__ = ["client", "declare", "engine", "planned", "stage", "waiting", "way"]


@pytest.fixture
def way(request: pytest.FixtureRequest, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the hot statements are sent; one at a time unless ``stage.BOTH_WAYS`` asks for both.

    Sent in one message they leave no place to stop between them.
    """
    way = getattr(request, "param", stages.ONE_BY_ONE)
    if way == stages.ONE_BY_ONE:
        monkeypatch.setattr(hot_path, "can_exchange", lambda: False)
    else:
        assert hot_path.can_exchange()
    return str(way)


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


@pytest.fixture
def planned(engine: Engine, declare: Any) -> Callable[..., Run]:
    """Return a run whose group of bodies is planned; each returns its own name."""

    def begin(names: Iterable[str] = ("left", "right"), **options: Any) -> Run:
        @declare()
        def fan(ctx):
            return ctx.group.parallel(
                tuple(lambda name=name: ctx.step.run(name, lambda: name) for name in names),
                **options,
            )

        event_id = engine.send("test/started")
        engine.step()
        engine.step()
        return engine.run_of(event_id)

    return begin


@pytest.fixture
def waiting(engine: Engine, declare: Any) -> Callable[..., Run]:
    """Return a run that stands before its wait, the previous result recorded."""

    @declare()
    def waiter(ctx):
        ctx.step.run("before", lambda: None)
        ctx.step.run("last before", lambda: None)
        event = ctx.step.wait_for_event("answer", event="test/go", timeout="1h")
        return event is not None

    def begin(done: int = 2) -> Run:
        event_id = engine.send("test/started")
        for _ in range(1 + done):  # Routing, and that many bodies.
            engine.step()
        return engine.run_of(event_id)

    return begin
