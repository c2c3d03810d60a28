"""Schedules: which functions the clock starts, and when next.

A row holds the next time of one cron trigger that living processes declare. ``releases``
starts what is due.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

from django.db.models import Q, QuerySet

from inngest_django import crons
from inngest_django.durations import parse_duration
from inngest_django.engine import ingest, transactions
from inngest_django.functions import registry
from inngest_django.functions.function import Function
from inngest_django.functions.triggers import TriggerCron
from inngest_django.models import Schedule

# A process says that often enough what it declares; what nobody declares starts nothing.
ALIVE_FOR = dt.timedelta(minutes=3)
# A schedule that nobody knew for so long begins anew: its function had been taken away.
FORGOTTEN_AFTER = dt.timedelta(days=7)


def declare(functions: Mapping[str, Function], *, renewed: Collection[str]) -> None:
    """Write the rows of functions' cron triggers, in the surrounding transaction.

    Args:
        renewed: Functions whose configuration is new: what it does not name any more ends
            now. Otherwise it ends when no living process declares it: in a deploy old
            processes may start after new ones.
    """
    now = transactions.now()
    declared = _declared(functions)
    rows = {
        (row.function_id, row.cron): row
        for row in Schedule.objects.filter(function_id__in=functions)
        .order_by("id")
        .select_for_update(no_key=True)
    }
    new = []
    for (function_id, cron), trigger in declared.items():
        found = rows.get((function_id, cron))
        row = found or Schedule(function_id=function_id, cron=cron)
        row.jitter = trigger.jitter or ""
        goes_on = found is not None and found.registered_at >= now - FORGOTTEN_AFTER
        move(row, row.next_at if goes_on else crons.after(cron, now))
        row.registered_at = now
        if found is None:
            new.append(row)
        else:
            write(row, "jitter", "next_at", "fires_at", "registered_at")
    # Another process may declare it at the same moment.
    Schedule.objects.bulk_create(new, ignore_conflicts=True)
    gone = [row for key, row in rows.items() if key not in declared]
    over = [
        row.pk for row in gone if row.function_id in renewed or row.registered_at < now - ALIVE_FOR
    ]
    if over:
        Schedule.objects.filter(pk__in=over).delete()


def touch(functions: Mapping[str, Function]) -> None:
    """Say that a process lives which declares these functions' cron triggers.

    What only dead processes declared goes. What went with a newer configuration does not come
    back by this.
    """
    declared = _declared(functions)
    rows = Schedule.objects.filter(function_id__in=functions)
    known = list(rows.values_list("pk", "function_id", "cron", "registered_at"))
    if not known:
        return
    limit = transactions.now() - ALIVE_FOR
    mine = [pk for pk, function_id, cron, _ in known if (function_id, cron) in declared]
    over = [
        pk
        for pk, function_id, cron, at in known
        if (function_id, cron) not in declared and at < limit
    ]
    if mine:
        Schedule.objects.filter(pk__in=mine).update(registered_at=ingest.now_value())
    if over:
        Schedule.objects.filter(pk__in=over, registered_at__lt=limit).delete()


def has_undeclared(functions: Mapping[str, Function]) -> bool:
    """Whether a cron trigger of these functions has no row."""
    declared = set(_declared(functions))
    if not declared:
        return False
    return bool(declared - set(Schedule.objects.values_list("function_id", "cron")))


def leave_out_missed() -> int:
    """Let schedules go on from now, without the times that passed; returns how many did so."""
    with transactions.write():
        now = transactions.now()
        rows = list(
            Schedule.objects.filter(fires_at__lt=now).order_by("id").select_for_update(no_key=True)
        )
        for row in rows:
            move(row, crons.after(row.cron, now))
            write(row, "next_at", "fires_at")
    return len(rows)


def alive(now: dt.datetime) -> QuerySet[Schedule]:
    """Return the schedules that living processes declare.

    This one lives, also where a test moved its clock. What it declares no more goes with its
    next touch.
    """
    mine = {function_id for function_id, _ in _declared(registry.all())}
    fresh = Q(registered_at__gte=now - ALIVE_FOR)
    return Schedule.objects.filter(fresh | Q(function_id__in=mine) if mine else fresh)


def next_fire() -> dt.datetime | None:
    """Return when the next schedule is due, or None."""
    due = alive(transactions.now()).order_by("fires_at")
    return due.values_list("fires_at", flat=True).first()


def move(row: Schedule, next_at: dt.datetime) -> None:
    """Set a row's next time, and with it when it fires."""
    row.next_at = next_at
    jitter = parse_duration(row.jitter, what="jitter") if row.jitter else dt.timedelta()
    row.fires_at = next_at + crons.delay(jitter, f"{row.function_id} {row.cron} {as_text(next_at)}")


def write(row: Schedule, *fields: str) -> None:
    """Write these columns of a row."""
    Schedule.objects.filter(pk=row.pk).update(**{name: getattr(row, name) for name in fields})


def as_text(moment: dt.datetime) -> str:
    """Return a moment as RFC 3339 in UTC, such as ``2026-03-01T02:15:00Z``."""
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def _declared(functions: Mapping[str, Function]) -> dict[tuple[str, str], TriggerCron]:
    return {
        (function_id, trigger.cron): trigger
        for function_id, function in functions.items()
        for trigger in function.triggers
        if isinstance(trigger, TriggerCron)
    }
