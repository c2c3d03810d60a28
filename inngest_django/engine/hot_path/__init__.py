"""The statements that every step costs, written by hand and kept together.

Everything else in the engine goes through the ORM. Each function states the ORM form of
what it does. Callers pass and get plain values, so that this package can be made faster
without touching them. Both dialects know ``RETURNING``.

``leasing``    lease, load, renew
``settling``   outcome, one statement each, for any outcome on any database
``exchanges``  outcome, all statements in one round trip, for the commonest on PostgreSQL
``arrivals``   store, stamp, read, start, for any number of events at once on PostgreSQL
``matches``    the waits that events find, and settling many of them at once
``due``        the tick
``wire``       how they reach the server: prepared, together (``prepared``: over libpq)
"""

from __future__ import annotations

from inngest_django.engine.hot_path.arrivals import (
    insert_events,
    read_unrouted,
    stamp,
    start,
)
from inngest_django.engine.hot_path.due import hint_again, take_due, what_waits
from inngest_django.engine.hot_path.exchanges import (
    can_exchange,
    complete_run,
    record_and_enter,
    record_and_go_on,
    record_plan,
    settle_and_join,
)
from inngest_django.engine.hot_path.leasing import (
    begin_and_load,
    decoded_ids,
    due_in,
    lease,
    load_steps,
    mark_draining,
    renew,
)
from inngest_django.engine.hot_path.matches import settle_matches, waits_after, waits_under
from inngest_django.engine.hot_path.moments import (
    HINT_GRACE,
    as_param,
    first_hint_at,
    is_soon,
    lookahead,
)
from inngest_django.engine.hot_path.rows import (
    Arrival,
    DueJob,
    EventRow,
    Leased,
    LockedRun,
    NewEvent,
    NewRun,
    NewStep,
    OpenWait,
    RunKey,
    StepRow,
    WaitMatch,
)
from inngest_django.engine.hot_path.settling import (
    begin_run,
    begin_step,
    bump,
    delete_job,
    holds_lease,
    insert_job,
    insert_settled_step,
    keep_lease,
    lock_run,
    must_enter,
    reschedule,
    settle_step,
)
from inngest_django.engine.hot_path.wire import fetch

__all__ = [
    "HINT_GRACE",
    "Arrival",
    "DueJob",
    "EventRow",
    "Leased",
    "LockedRun",
    "NewEvent",
    "NewRun",
    "NewStep",
    "OpenWait",
    "RunKey",
    "StepRow",
    "WaitMatch",
    "as_param",
    "begin_and_load",
    "begin_run",
    "begin_step",
    "bump",
    "can_exchange",
    "complete_run",
    "decoded_ids",
    "delete_job",
    "due_in",
    "fetch",
    "first_hint_at",
    "hint_again",
    "holds_lease",
    "insert_events",
    "insert_job",
    "insert_settled_step",
    "is_soon",
    "keep_lease",
    "lease",
    "load_steps",
    "lock_run",
    "lookahead",
    "mark_draining",
    "must_enter",
    "read_unrouted",
    "record_and_enter",
    "record_and_go_on",
    "record_plan",
    "renew",
    "reschedule",
    "settle_and_join",
    "settle_matches",
    "settle_step",
    "stamp",
    "start",
    "take_due",
    "waits_after",
    "waits_under",
    "what_waits",
]
