"""Accepting events: rules, rows, and a hint after the caller's commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import BigIntegerField, Func
from django.db.models.functions import Now

from inngest_django import clock, conf, ids
from inngest_django.engine import hints, hot_path, transactions
from inngest_django.engine.hot_path import NewEvent
from inngest_django.errors import EventInvalidError
from inngest_django.events import Event as IncomingEvent
from inngest_django.models import Event
from inngest_django.models.fields import JSONText
from inngest_django.serialization import depth, dumps, is_storable, utf8_size

MAX_NAME = 512
MAX_ID = 512
MAX_DEPTH = 64
MAX_EVENTS = 5000
_AT_ONCE = 500  # In one statement.
MIN_TS = 315_532_800_000  # 1980-01-01 in milliseconds
MAX_TS = 4_102_444_800_000  # 2100-01-01
RESERVED_PREFIX = "inngest/"
FINISHED = "inngest/function.finished"
FAILED = "inngest/function.failed"
CANCELLED = "inngest/function.cancelled"
INVOKED = "inngest/function.invoked"
SCHEDULED = "inngest/scheduled.timer"
# Those that are routed.
INTERNAL_NAMES = (FINISHED, FAILED, CANCELLED, INVOKED)


def validate(event: IncomingEvent) -> None:
    """Check one event against the documented limits.

    Raises:
        EventInvalidError: Says which rule, the value, and the remedy.
    """
    _encode(event)


def accept(events: Sequence[IncomingEvent], *, event_ids: Sequence[str] | None = None) -> list[str]:
    """Store events in the caller's transaction and ask for routing when it commits.

    Args:
        event_ids: ULIDs to use, for a sender that repeats a request; ids that are stored
            already insert nothing.

    Returns:
        The ids, in the order of the events.

    Raises:
        EventInvalidError: Nothing was stored.
    """
    if len(events) > MAX_EVENTS:
        raise EventInvalidError(
            f"At most {MAX_EVENTS} events can be sent at once, got {len(events)}."
            " Send them in several calls."
        )
    rows = [
        _row(event, event_id)
        for event, event_id in zip(events, event_ids or (None,) * len(events), strict=True)
    ]
    if not rows:
        return []
    is_repeated = event_ids is not None
    if len(rows) <= _AT_ONCE and hot_path.can_exchange() and _commits_by_itself():
        hot_path.insert_events(rows, ignore_conflicts=is_repeated)
    else:
        Event.objects.bulk_create(
            map(_stored, rows), ignore_conflicts=is_repeated, batch_size=_AT_ONCE
        )
    hints.route_after_commit()
    return [row.id for row in rows]


def _commits_by_itself() -> bool:
    """Whether a statement outside of a transaction is one of its own, as it is by default."""
    return bool(transactions.connection().get_autocommit())


def emit_internal(name: str, data: Mapping[str, Any], *, external_id: str | None = None) -> Event:
    """Store an event of the engine's own in the surrounding transaction."""
    row = Event(
        id=ids.new_ulid(),
        external_id=external_id,
        name=name,
        data=data,
        ts=_now_ms(),
        received_at=now_value(),
    )
    row.save(force_insert=True, using=transactions.connection().alias)
    return row


def now_value() -> Any:
    """Return what an ORM write puts into a column for the database's now."""
    if transactions.is_postgresql() and not clock.is_moved():
        return Now()
    return clock.now()


def _row(event: IncomingEvent, event_id: str | None) -> NewEvent:
    data, user = _encode(event)
    return NewEvent(
        id=event_id or ids.new_ulid(),
        external_id=event.id or None,
        name=event.name,
        data=data,
        user=user,
        ts=event.ts or None,
        version=event.v or None,
    )


def _stored(row: NewEvent) -> Event:
    return Event(
        id=row.id,
        external_id=row.external_id,
        name=row.name,
        data=JSONText(row.data),
        user=None if row.user is None else JSONText(row.user),
        ts=row.ts or _now_ms(),
        version=row.version,
        received_at=now_value(),
    )


def _now_ms() -> Any:
    """Return what a write puts into ``ts`` when no author gave one.

    The database's now, too, and never rounded up: a later ``ts`` delays runs, and the host's
    clock may be ahead.
    """
    if transactions.is_postgresql() and not clock.is_moved():
        return Func(
            Now(),
            template="floor(extract(epoch FROM %(expressions)s) * 1000)::bigint",
            output_field=BigIntegerField(),
        )
    return int(clock.now().timestamp() * 1000)


def _encode(event: IncomingEvent) -> tuple[str, str | None]:
    _check_text("name", event.name, limit=MAX_NAME)
    if not event.name:
        raise EventInvalidError("An event needs a name, got ''.")
    if event.name.lower().startswith(RESERVED_PREFIX):
        raise EventInvalidError(
            f"Event name {event.name!r} starts with {RESERVED_PREFIX!r}, which is reserved"
            " for internal events. Choose another name."
        )
    _check_text("id", event.id, limit=MAX_ID)
    _check_text("v", event.v or "", limit=MAX_ID)
    if event.ts and not MIN_TS <= event.ts <= MAX_TS:
        raise EventInvalidError(
            f"Event {event.name!r} has ts {event.ts}, outside 1980 to 2100."
            " ts is in milliseconds since 1970."
        )
    data = {key: value for key, value in (event.data or {}).items() if key != "_inngest"}
    encoded = _encode_value(event.name, "data", data)
    user = _encode_value(event.name, "user", event.user) if event.user else None
    limit = conf.get().MAX_EVENT_BYTES
    size = len(encoded) + len(user or "")
    if size > limit:
        # Stored text escapes what is not ASCII; the limit is about what the sender has.
        size = utf8_size(data) + (utf8_size(event.user) if event.user else 0)
    if size > limit:
        raise EventInvalidError(
            f"Event {event.name!r} has {size} bytes of data, over the limit of {limit}"
            ' (INNGEST["MAX_EVENT_BYTES"]). Store the data elsewhere and send a reference.'
        )
    return encoded, user


def _check_text(field: str, value: str, *, limit: int) -> None:
    if len(value) > limit:
        raise EventInvalidError(
            f"Event {field} has {len(value)} characters, over the limit of {limit}."
        )
    if not is_storable(value):
        raise EventInvalidError(
            f"Event {field} {value!r} holds a NUL or a lone surrogate, which no database stores."
        )


def _encode_value(name: str, field: str, value: object) -> str:
    if depth(value, limit=MAX_DEPTH) > MAX_DEPTH:
        raise EventInvalidError(
            f"Event {name!r} nests {field} deeper than {MAX_DEPTH} levels. Flatten it."
        )
    try:
        return dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise EventInvalidError(
            f"Event {name!r} has {field} that is not JSON: {error}."
            " Use objects, lists, strings, finite numbers, true, false and null."
        ) from error
