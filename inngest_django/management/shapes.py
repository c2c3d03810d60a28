"""Runs and steps as the commands print them with ``--json``; the keys are stable."""

from __future__ import annotations

from typing import Any

from inngest_django.models import Run, Step


def run(row: Run) -> dict[str, Any]:
    """Return a run; its event must be loaded."""
    return {
        "id": row.pk,
        "function_id": row.function_id,
        "status": row.status,
        "event_id": row.event_id,
        "event_name": row.event.name,
        "queued_at": row.queued_at,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "output": row.output,
        "error": row.error,
    }


def step(row: Step) -> dict[str, Any]:
    """Return a step."""
    return {
        "name": row.name,
        "index": row.index,
        "op": row.op,
        "status": row.status,
        "output": row.output,
        "error": row.error,
        "attempt_count": row.attempt_count,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
    }
