"""A worker that stalls between giving events their place and looking at them."""

from __future__ import annotations

import datetime as dt

import pytest

from inngest_django import ContextSync, Inngest, TriggerEvent, clock
from inngest_django.engine import executor, timers, transactions
from inngest_django.functions import registry
from inngest_django.models import Job
from tests.engine.support import Engine
from tests.simulation import mistakes

pytestmark = pytest.mark.django_db(transaction=True)


def _event_while_stalled(
    engine: Engine, client: Inngest, monkeypatch: pytest.MonkeyPatch
) -> object:
    """Return what the wait's run came to: its event was committed after the stamping."""

    @client.create_function(fn_id="waiter", trigger=TriggerEvent(event="test/started"))
    def waiter(ctx: ContextSync) -> bool:
        return ctx.step.wait_for_event("w", event="test/go", timeout="1h") is not None

    registry.register(waiter)
    run = engine.start("test/started")
    stamp = timers.stamping.stamp

    def stall() -> int:
        count = stamp()
        monkeypatch.setattr(timers.stamping, "stamp", stamp)
        engine.send("test/go")
        clock.move(transactions.now() + dt.timedelta(hours=2))
        return count

    # Its job looks again before the expiry, as the tick lets it when a hint came twice.
    Job.objects.filter(run=run).update(available_at=transactions.now())
    monkeypatch.setattr(timers.stamping, "stamp", stall)
    executor.execute(Job.objects.get(run=run).pk)
    engine.idle()

    run.refresh_from_db()
    assert run.status == "completed"
    return run.output


def test_an_event_of_that_time_is_not_timed_out_over(
    engine: Engine, client: Inngest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 10, stalled: it came before the expiry, and after the stamping that the worker did."""
    assert _event_while_stalled(engine, client, monkeypatch) is True


def test_an_event_of_that_time_loses_to_a_time_out_as_of_after_the_stall(
    engine: Engine, client: Inngest, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = mistakes.named("time a wait out as of a moment after its worker looked for events")
    late.apply(monkeypatch, None)  # type: ignore[arg-type]

    assert _event_while_stalled(engine, client, monkeypatch) is False
