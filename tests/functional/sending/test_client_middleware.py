"""Client-level middleware runs around ``client.send`` and around its functions' calls."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, unique


class Stamping(inngest.MiddlewareSync):
    """Adds to what is sent, and notes what it saw under the text in the event's data."""

    def before_send_events(self, events: list[inngest.Event]) -> None:
        for event in events:
            event.data = {**event.data, "stamped": True}
            self.own = str(event.data.get("own"))
        ledger.note(self.own, "before_send_events", len(events))

    def after_send_events(self, result: inngest.SendEventsResult) -> None:
        ledger.note(self.own, "after_send_events", [result.error, len(result.ids)])

    def transform_input(self, ctx: Any, function: Any, steps: inngest.StepMemos) -> None:
        ledger.note(ctx.run_id, "transform_input", function.local_id)


stamping = inngest.Inngest(
    app_id="functional-middleware", is_production=False, middleware=[Stamping]
)


@stamping.create_function(
    fn_id="client-middleware",
    retries=0,
    trigger=inngest.TriggerEvent(event="functional/client-middleware"),
)
def client_middleware(ctx: inngest.ContextSync) -> object:
    return dict(ctx.event.data)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_hooks_run_around_a_send(live: Live, kind: str) -> None:
    own = unique()
    event = inngest.Event(name="functional/client-middleware", data={"own": own})
    if kind == "sync":
        [event_id] = stamping.send_sync(event)
    else:
        [event_id] = asyncio.run(stamping.send(event))
    run = live.ended(live.started(event_id, client_middleware))

    assert run.output == {"own": own, "stamped": True}
    assert [(n.what, n.value) for n in ledger.notes(own)] == [
        ("before_send_events", 1),
        ("after_send_events", [None, 1]),
    ]
    assert [n.value for n in ledger.notes(run.id, "transform_input")] == ["client-middleware"]


def test_they_can_be_skipped(live: Live) -> None:
    own = unique()
    [event_id] = stamping.send_sync(
        inngest.Event(name="functional/client-middleware", data={"own": own}),
        skip_middleware=True,
    )

    assert live.ended(live.started(event_id, client_middleware)).output == {"own": own}
    assert ledger.notes(own) == []
