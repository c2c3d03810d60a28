"""Starting one function with an event of the test's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest import mock

from inngest_django import ids
from inngest_django.engine import ingest, routing, runs, schedules, stamping, transactions, triggers
from inngest_django.events import Event as IncomingEvent
from inngest_django.functions.function import Function
from inngest_django.functions.triggers import TriggerCron, TriggerEvent
from inngest_django.models import Event, Run
from inngest_django.testing.worker import committing


def start(function: Function, incoming: IncomingEvent) -> str:
    """Start a function, and no other, with an event; returns the run's id.

    Raises:
        AssertionError: The event does not start the function.
    """
    if not any(isinstance(trigger, TriggerEvent) for trigger in function.triggers):
        return _start_without_routing(function, incoming)
    with committing():
        [event_id] = ingest.accept([incoming])
    started_by = triggers.started_by

    def only_this(payload: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        found = started_by(payload)
        return {function.id: found[function.id]} if function.id in found else {}

    with mock.patch.object(triggers, "started_by", only_this), committing():
        routing.route()
    run_id = (
        Run.objects.filter(event_id=event_id, function_id=function.id)
        .values_list("id", flat=True)
        .first()
    )
    if run_id is None:
        wanted = ", ".join(str(trigger.wire()) for trigger in function.triggers)
        raise AssertionError(
            f"Event {incoming.name!r} with data {dict(incoming.data)!r} did not start function"
            f" {function.id!r}. Its triggers are: {wanted}. A trigger's expression, a"
            " repeated event id or an idempotency key may have refused it; send the event"
            " with durable.deliver() to test that."
        )
    return run_id


def _start_without_routing(function: Function, incoming: IncomingEvent) -> str:
    """Start a function that only a schedule or an invoke starts."""
    run_id = ids.new_ulid()
    with committing(), transactions.write():
        row = ingest.emit_internal(
            incoming.name, dict(incoming.data), external_id=incoming.id or None
        )
        stamping.stamp()
        now = transactions.now()
        Event.objects.filter(pk=row.pk).update(routed_at=now)
        row.refresh_from_db()
        runs.start(
            [
                runs.Start(
                    run_id=run_id,
                    function_id=function.id,
                    event=row,
                    floor_seq=row.seq or 0,
                    available_at=now,
                    cancel_rules=function.config().get("cancel") or (),
                )
            ],
            now=now,
        )
    return run_id


def event_for(
    function: Function,
    event: IncomingEvent | str | Mapping[str, Any] | None,
    data: Mapping[str, Any] | None,
) -> IncomingEvent:
    """Return the event that a test means: an event, a name, or data of the function's own.

    Raises:
        TypeError: Data was given beside an event.
    """
    if isinstance(event, IncomingEvent):
        if data is not None:
            raise TypeError("run: data belongs to a name; put it into the Event.")
        return event
    if isinstance(event, str):
        return IncomingEvent(name=event, data=dict(data or {}))
    given = dict(event or data or {})
    for trigger in function.triggers:
        if isinstance(trigger, TriggerEvent):
            return IncomingEvent(name=trigger.event.replace("*", "any"), data=given)
    for trigger in function.triggers:
        if isinstance(trigger, TriggerCron):
            return _scheduled(trigger, given)
    return IncomingEvent(name=ingest.INVOKED, data=given)


def _scheduled(trigger: TriggerCron, given: Mapping[str, Any]) -> IncomingEvent:
    """Return the event of a schedule whose time is now; what was given wins."""
    now = schedules.as_text(transactions.now())
    data = {"cron": trigger.cron, "scheduledAt": now, "fireAt": now, **given}
    return IncomingEvent(name=ingest.SCHEDULED, id=data["scheduledAt"], data=data)
