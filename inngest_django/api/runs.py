"""``/v1/runs`` and ``/v1/events``: what was accepted and what came of it."""

from __future__ import annotations

import re
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from inngest_django.api.authentication import ApiKeyAuthentication
from inngest_django.api.errors import bad_request, not_found
from inngest_django.api.views import InngestView, envelope
from inngest_django.engine import ingest
from inngest_django.models import Event, Run
from inngest_django.states import RunStatus

# An event starts each function once; reruns of them may be many.
RUN_LIMIT = 1_000
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_WORDS = {RunStatus.QUEUED: "Scheduled"}


class ReadView(InngestView):
    """A view behind an API key."""

    authentication_classes = (ApiKeyAuthentication,)
    http_method_names = ("get", "head")


class EventView(ReadView):
    """One event."""

    def get(self, request: Request, event_id: str) -> Response:
        """Return the event."""
        return envelope(event_json(_event(event_id)))


class EventRunsView(ReadView):
    """The runs that an event started."""

    def get(self, request: Request, event_id: str) -> Response:
        """Return the runs, oldest first."""
        event = _event(event_id)
        return envelope(
            [run_json(run) for run in event.runs.order_by("pk").select_related("event")[:RUN_LIMIT]]
        )


class RunView(ReadView):
    """One run."""

    def get(self, request: Request, run_id: str) -> Response:
        """Return the run."""
        run = Run.objects.select_related("event").filter(pk=ulid(run_id, what="Run")).first()
        if run is None:
            raise not_found(f"No run has the id {run_id}.")
        return envelope(run_json(run))


def ulid(text: str, *, what: str) -> str:
    """Return an id in its stored form.

    Raises:
        ApiError: 400, it is no ULID.
    """
    upper = text.upper()
    if not _ULID.fullmatch(upper):
        raise bad_request(f"{what} id {text[:64]!r} is not a ULID (26 characters).")
    return upper


def run_json(run: Run) -> dict[str, Any]:
    """Return a run as the wire shows it."""
    status = RunStatus(run.status)
    body: dict[str, Any] = {
        "run_id": run.pk,
        "run_started_at": _time(run.started_at or run.queued_at),
        "function_id": run.function_id,
        "function_version": run.function_version,
        "environment_id": None,
        "event_id": run.event_id,
        "status": _WORDS.get(status, status.value.title()),
        "ended_at": _time(run.ended_at),
        "output": run.output if run.error is None else {"error": run.error},
    }
    if run.event.name == ingest.SCHEDULED:
        body["cron"] = run.event.data.get("cron")
    if run.original_run_id:
        body["original_run_id"] = run.original_run_id
    return body


def event_json(event: Event) -> dict[str, Any]:
    """Return an event as the wire shows it; ``internal_id`` is the one in answers of ``/e``."""
    return {"internal_id": event.pk, "received_at": _time(event.received_at), **event.payload()}


def _event(event_id: str) -> Event:
    event = Event.objects.filter(pk=ulid(event_id, what="Event")).first()
    if event is None:
        raise not_found(f"No event has the id {event_id}.")
    return event


def _time(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat()
