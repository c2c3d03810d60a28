"""Wait subscriptions: opening them, and finding the events that they missed.

A match is never lost because both sides look after the other committed: routing looks for
waits after the event has its ``seq``, and a new wait looks for events above its floor after
it committed. Under the run's lock there is one winner.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any

from inngest_django import expressions, ids
from inngest_django.durations import parse_duration
from inngest_django.engine.hot_path import OpenWait
from inngest_django.models import Event, Run, Wait, WaitKey, WaitKind, WaitShape
from inngest_django.models.fields import JSONText
from inngest_django.serialization import dumps

logger = logging.getLogger(__name__)

MAX_SHAPES = 64  # Forms of conditions a name of events.
_PAGE = 200
# How far the clocks of senders and the database may differ before a lookback misses events.
_CLOCK_SLACK = dt.timedelta(seconds=5)
# A cancel rule listens for a year at most, as in Inngest.
_RULE_LIFE = dt.timedelta(days=366)


def current_floor(cursor: Any) -> int:
    """Return the largest committed ``seq``."""
    cursor.execute("SELECT last_seq FROM inngest_counter WHERE id = 1")
    row = cursor.fetchone()
    return 0 if row is None else int(row[0])


def lookback_floor(
    run: Run, *, lookback: str | int | None, now: dt.datetime, floor_seq: int
) -> int:
    """Return the floor of a wait that also considers earlier events.

    Args:
        lookback: None, ``"run"`` for everything since the run's own event, or milliseconds.
    """
    if lookback is None:
        return floor_seq
    if lookback == "run":
        return min(floor_seq, run.event.seq if run.event.seq is not None else floor_seq)
    since = now - dt.timedelta(milliseconds=int(lookback))
    # By the primary key, which begins with the sender's time: there is no index on
    # received_at. Commits come in almost that order, hence the least of several.
    nearby = (
        Event.objects.filter(
            id__gte=ids.first_ulid_of(since - _CLOCK_SLACK), received_at__gte=since
        )
        .exclude(seq=None)
        .order_by("id")
        .values_list("seq", flat=True)[:_PAGE]
    )
    return min([floor_seq, *(seq - 1 for seq in nearby if seq is not None)])


def open_wait(
    *,
    run_id: str,
    step_id: int | None,
    kind: WaitKind,
    event_name: str,
    expression: str,
    payload: Mapping[str, Any],
    floor_seq: int,
    expires_at: dt.datetime,
    now: dt.datetime,
) -> Wait:
    """Insert a wait with its keys, in the surrounding transaction.

    Raises:
        ExpressionError: The expression does not compile.
    """
    program = expressions.compile(expression, kind="wait") if expression else None
    plan = expressions.plan(program, event=payload, event_name=event_name)
    constants = program.constants(payload) if program is not None else {}
    wait = Wait.objects.create(
        run_id=run_id,
        step_id=step_id,
        kind=kind,
        event_name=event_name,
        expression=expression,
        constants=JSONText(dumps(constants)),
        floor_seq=floor_seq,
        expires_at=expires_at,
        created_at=now,
    )
    if plan.never:
        return wait
    known = set(WaitShape.objects.filter(event_name=event_name).values_list("spec", flat=True))
    fresh = sorted(set(plan.shapes) - known)
    if fresh and len(known) + len(fresh) > MAX_SHAPES:
        # Every arriving event is compared with each shape of its name.
        logger.warning(
            "too many forms of conditions, this wait is compared with every event",
            extra={"event_name": event_name},
        )
        plan = expressions.plan_residual(event_name)
    elif fresh:
        WaitShape.objects.bulk_create(
            [WaitShape(event_name=event_name, spec=spec) for spec in fresh],
            ignore_conflicts=True,
        )
    for warning in plan.warnings:
        logger.warning("wait: %s", warning, extra={"run_id": run_id})
    WaitKey.objects.bulk_create([WaitKey(key=key, wait=wait) for key in sorted(plan.keys)])
    return wait


def open_cancel_rule(
    run_id: str,
    *,
    rule: Mapping[str, Any],
    event: Event,
    floor_seq: int,
    now: dt.datetime,
) -> Wait:
    """Insert the wait of a run's cancel rule (wire names: event, if, timeout)."""
    life = parse_duration(rule["timeout"]) if rule.get("timeout") else _RULE_LIFE
    return open_wait(
        run_id=run_id,
        step_id=None,
        kind=WaitKind.CANCEL,
        event_name=rule["event"],
        expression=rule.get("if") or "",
        payload=event.payload(),
        floor_seq=floor_seq,
        expires_at=now + life,
        now=now,
    )


def find_event(wait: Wait, *, own_ids: frozenset[str]) -> Event | None:
    """Return the first committed event that the wait missed, or None.

    Events are those of its name above its floor, received before it expires, in the order of
    ``seq``, and never the run's own.
    """
    program = compiled(wait)
    position = wait.floor_seq
    while True:
        page = list(
            Event.objects.filter(
                name=wait.event_name,
                seq__gt=position,
                received_at__lte=wait.expires_at,
            ).order_by("seq")[:_PAGE]
        )
        for event in page:
            if event.id not in own_ids and is_match(wait, program, event.payload()):
                return event
        if len(page) < _PAGE:
            return None
        position = page[-1].seq or position


def compiled(wait: Wait | OpenWait) -> expressions.Program | None:
    """Return the wait's condition, or None when it has none."""
    return expressions.compile(wait.expression, kind="wait") if wait.expression else None


def is_match(
    wait: Wait | OpenWait, program: expressions.Program | None, payload: Mapping[str, Any]
) -> bool:
    """Whether the complete condition is exactly true for an event."""
    return program is None or program.matches(event=wait.constants, arriving=payload)
