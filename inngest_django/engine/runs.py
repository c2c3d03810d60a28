"""Starting and ending runs."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from inngest_django import ids, signals
from inngest_django.engine import hot_path, ingest, pieces, sync, transactions, triggers, waits
from inngest_django.engine.hints import JobHint, execute_after_commit, route_after_commit
from inngest_django.engine.hot_path import EventRow, Leased, LockedRun
from inngest_django.errors import ErrorValue, FunctionNotFoundError
from inngest_django.models import Event, Function, Job, Run, Wait
from inngest_django.models.fields import JSONText
from inngest_django.serialization import dumps
from inngest_django.states import RUN_TRANSITIONS, JobKind, RunStatus, sources

_RECURSION_GUARD = (ingest.FINISHED, ingest.FAILED)
_ENDED_WORD = {
    RunStatus.COMPLETED: "Completed",
    RunStatus.FAILED: "Failed",
    RunStatus.CANCELLED: "Cancelled",
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """A run that is to be started."""

    run_id: str
    function_id: str
    event: Event
    floor_seq: int
    available_at: dt.datetime
    cancel_rules: Sequence[Mapping[str, Any]] = ()
    parent_id: int | None = None
    original_run_id: str | None = None
    event_ids: list[str] | None = None


def start(starts: Sequence[Start], *, now: dt.datetime) -> list[JobHint]:
    """Insert runs with their entries and cancel rules, in the surrounding transaction."""
    if not starts:
        return []
    Run.objects.bulk_create(
        [
            Run(
                id=item.run_id,
                function_id=item.function_id,
                function_version=sync.version_of(item.function_id),
                status=RunStatus.QUEUED,
                event=item.event,
                event_ids=item.event_ids,
                queued_at=now,
                floor_seq=item.floor_seq,
                parent_id=item.parent_id,
                original_run_id=item.original_run_id,
                has_unscanned_rules=bool(item.cancel_rules),
            )
            for item in starts
        ]
    )
    for item in starts:
        for rule in item.cancel_rules:
            waits.open_cancel_rule(item.run_id, rule=rule, event=item.event,
                                   floor_seq=item.floor_seq, now=now)  # fmt: skip
    jobs = Job.objects.bulk_create(
        [
            Job(
                run_id=item.run_id,
                kind=JobKind.ENTER,
                function_id=item.function_id,
                available_at=item.available_at,
                next_hint_at=hot_path.first_hint_at(item.available_at, now),
            )
            for item in starts
        ]
    )
    return [
        JobHint(job.pk, job.function_id, max(0.0, (job.available_at - now).total_seconds()))
        for job in jobs
        if hot_path.is_soon(job.available_at, now)
    ]


def end(
    run: LockedRun,
    *,
    status: RunStatus,
    output: str | None = None,
    error: ErrorValue | None = None,
    reason: str = "",
) -> list[JobHint]:
    """End a run whose lock is held: close its pieces, wake its parent, tell the world.

    Args:
        output: JSON text.

    Returns:
        Hints to publish after commit. Empty too when the run had ended already.
    """
    won = Run.objects.filter(pk=run.id, status__in=sources(RUN_TRANSITIONS, status)).update(
        status=status,
        output=None if output is None else JSONText(output),
        error=error,
        reason=reason,
        ended_at=run.now,
    )
    if not won:
        return []
    pieces.close_all(run.id, now=run.now)
    row = Run.objects.select_related("event").get(pk=run.id)
    hints = [] if row.parent_id is None else wake_parents([row.parent_id], now=run.now)
    _emit_ended(row, error=error)
    if signals.run_ended.has_listeners():
        transactions.after_commit(lambda: _send_run_ended(run.id, row.function_id, status))
    return hints


def _send_run_ended(run_id: str, function_id: str, status: RunStatus) -> None:
    signals.run_ended.send_robust(sender=Run, run_id=run_id, function_id=function_id, status=status)


def complete_at_once(leased: Leased, *, output: str) -> bool:
    """Complete a run that holds nothing but its entry, in one round trip; False if it cannot."""
    if leased.event_ids or leased.event.name in _RECURSION_GUARD:
        return False
    event = _event_text(leased.event)
    data = (
        f'{{"function_id":{dumps(leased.function_id)},"run_id":{dumps(leased.run_id)},'
        f'"event":{event},"events":[{event}],"_inngest":{{"status":"Completed"}},'
        f'"result":{output}}}'
    )
    is_waited_for = hot_path.complete_run(
        leased,
        output=output,
        event_id=ids.new_ulid(),
        event_name=ingest.FINISHED,
        event_data=data,
    )
    if is_waited_for is None:
        return False
    if is_waited_for or triggers.is_named(ingest.FINISHED):
        route_after_commit()
    if signals.run_ended.has_listeners():
        _send_run_ended(leased.run_id, leased.function_id, RunStatus.COMPLETED)
    return True


def _event_text(event: EventRow) -> str:
    """Return the JSON of an event, without decoding what is stored as JSON."""
    text = (
        f'{{"id":{dumps(event.external_id or event.id)},"name":{dumps(event.name)},'
        f'"data":{event.data or "{}"},"ts":{event.ts}'
    )
    if event.user and event.user != "{}":
        text += f',"user":{event.user}'
    if event.version:
        text += f',"v":{dumps(event.version)}'
    return text + "}"


def wake_parents(step_ids: Sequence[int], *, now: dt.datetime) -> list[JobHint]:
    """Make the invoke jobs of parents due.

    Their runs are never locked from here: child against time-out is settled in one place,
    the job's own task.
    """
    jobs = list(
        Job.objects.filter(step_id__in=step_ids, kind=JobKind.INVOKE)
        .order_by("id")
        .select_for_update()
        .only("id", "function_id")
    )
    if not jobs:
        return []
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(
        available_at=now, next_hint_at=now + hot_path.HINT_GRACE, hint_count=0
    )
    return [JobHint(job.pk, job.function_id) for job in jobs]


def _emit_ended(run: Run, *, error: ErrorValue | None) -> None:
    events = run.events
    if any(event.name in _RECURSION_GUARD for event in events):
        return
    status = RunStatus(run.status)
    data: dict[str, Any] = {
        "function_id": run.function_id,
        "run_id": run.id,
        "event": _visible(events[0]),
        "events": [_visible(event) for event in events],
        "_inngest": {"status": _ENDED_WORD[status]},
    }
    if status is RunStatus.COMPLETED:
        data["result"] = run.output
    elif error is not None:
        # "error" repeats what the HTTP protocol said, for handlers written against it.
        data["error"] = {
            "error": "invalid status code: 500",
            "name": error["name"],
            "message": error["message"],
            "stack": error["stack"],
        }
    names = [ingest.FINISHED]
    if status is RunStatus.FAILED:
        names.append(ingest.FAILED)
    elif status is RunStatus.CANCELLED:
        names.append(ingest.CANCELLED)
    for name in names:
        # The id of failed and cancelled is the run's, so that a handler starts once.
        external_id = None if name == ingest.FINISHED else run.id
        ingest.emit_internal(name, data, external_id=external_id)
    if _is_anybody_interested(names):
        route_after_commit()


def _visible(event: Event) -> dict[str, Any]:
    payload = event.payload()
    if not payload["user"]:
        del payload["user"]
    return payload


def _is_anybody_interested(names: Sequence[str]) -> bool:
    return any(triggers.is_named(name) for name in names) or (
        Wait.objects.filter(event_name__in=names, status="open").exists()
    )


def rerun(run_id: str) -> str:
    """Start a new run of the same function with the same events; returns its id.

    Raises:
        FunctionNotFoundError: The run or its function does not exist any more.
    """

    def work() -> str:
        with transactions.write() as cursor:
            original = Run.objects.select_related("event").filter(pk=run_id).first()
            if original is None:
                raise FunctionNotFoundError(f"No run has the id {run_id!r}.")
            if not Function.objects.filter(pk=original.function_id).exists():
                raise FunctionNotFoundError(
                    f"Run {run_id} cannot run again: function {original.function_id!r}"
                    " is not registered. Start a worker that has it."
                )
            now = transactions.now()
            item = Start(
                run_id=ids.new_ulid(),
                function_id=original.function_id,
                event=original.event,
                event_ids=original.event_ids,
                floor_seq=waits.current_floor(cursor),
                available_at=now,
                original_run_id=original.id,
            )
            execute_after_commit(start([item], now=now))
            return item.run_id

    return transactions.retrying(work)
