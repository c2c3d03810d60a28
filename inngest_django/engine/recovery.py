"""The tick: what is due, and what lost messages and dead workers left behind."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence

from inngest_django import conf
from inngest_django.engine import (
    crash_points,
    hints,
    hot_path,
    leases,
    releases,
    sync,
    transactions,
)
from inngest_django.engine.hints import JobHint
from inngest_django.engine.hot_path import DueJob
from inngest_django.models import Pulse

BATCH = 500
_MAX_BATCHES = 10
_OVERDUE_TICKS = 3
# Of the hints for which a backlog is the likelier reason than a loss, so many go out again
# with each tick, those first that came to nothing so often.
_UNLIKELY = 50
_OFTEN = 4


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TickReport:
    """What one tick did."""

    hinted: int
    asked_for_routing: bool
    was_published: bool


def tick() -> TickReport:
    """Publish what is due now or before the next tick; harmless at any rate and from anywhere.

    Looking ahead keeps a job that is due in 0.4 s from waiting for the next tick: its hint
    goes out with that delay.
    """
    crash_points.reach("tick.start")
    now = _beat_pulse()
    hinted, published = 0, True
    backlogs = _Backlogs()
    for _ in range(_MAX_BATCHES):
        taken = transactions.retrying(lambda: hot_path.take_due(limit=BATCH))
        due = backlogs.without_those_on_their_way(taken)
        hinted += len(due)
        crash_points.reach("tick.taken")
        published = hints.execute(
            [
                JobHint(job.id, job.function_id, max(0.0, (job.due_at - now).total_seconds()))
                for job in due
            ]
        )
        crash_points.reach("tick.published")
        if not published:
            # A failed broker is tried again soon; the back-off is for lost messages.
            hot_path.hint_again([job.id for job in due], in_seconds=1.0)
            break
        if len(taken) < BATCH:
            break
    waiting = hot_path.what_waits()
    if waiting.routing:
        published = hints.route() and published
    if waiting.schedules:
        releases.release(ahead=hot_path.lookahead())
    sync.touch()
    return TickReport(hinted=hinted, asked_for_routing=waiting.routing, was_published=published)


class _Backlogs:
    """What waits in each queue when a tick looks, asked for once.

    A backlog would double its messages if each due job were hinted for again. Messages are
    taken first in, first out: when n wait in a queue, what was hinted for and exceeds that
    number is lost. The queue may be full of something else, so that some go out whatever it
    says.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, int] = {}
        self._spare: dict[str, int] = {}

    def without_those_on_their_way(self, taken: Sequence[DueJob]) -> list[DueJob]:
        """Leave out what was hinted for already and is likely to be waiting in its queue."""
        again: dict[str, list[DueJob]] = {}
        due = []
        for job in taken:
            if job.repeats:
                again.setdefault(conf.get().queue_for(job.function_id), []).append(job)
            else:
                due.append(job)
        for queue, jobs in again.items():
            due += self._lost(queue, jobs)
        return due

    def _lost(self, queue: str, jobs: list[DueJob]) -> list[DueJob]:
        if queue not in self._waiting:
            self._waiting[queue], self._spare[queue] = hints.waiting(queue), _UNLIKELY
        jobs.sort(key=lambda job: (-job.repeats, job.due_at))
        exceeding = max(0, len(jobs) - self._waiting[queue])
        self._waiting[queue] = max(0, self._waiting[queue] - len(jobs))
        often = min(sum(job.repeats >= _OFTEN for job in jobs), self._spare[queue])
        self._spare[queue] -= max(0, often - exceeding)
        return jobs[: max(exceeding, often)]


def _beat_pulse() -> dt.datetime:
    """Note that a tick runs; returns the database's now."""
    now = transactions.now_sql()

    def work() -> dt.datetime:
        with transactions.write() as cursor:
            for _ in range(2):
                cursor.execute(
                    f"UPDATE inngest_pulse SET ticked_at = {now}, ticked_by = %s"
                    " WHERE id = 1 RETURNING ticked_at",
                    (leases.owner(),),
                )
                row = cursor.fetchone()
                if row is not None:
                    return transactions.as_moment(row[0])
                Pulse.objects.bulk_create([Pulse(id=1)], ignore_conflicts=True)
        raise AssertionError("the pulse row cannot be created")

    return transactions.retrying(work)


def last_tick_age() -> dt.timedelta | None:
    """Return how long ago a tick ran, by the database's clock; None when none ever did."""
    with transactions.connection().cursor() as cursor:
        cursor.execute(
            f"SELECT ticked_at, {transactions.now_sql()} FROM inngest_pulse WHERE id = 1"
        )
        row = cursor.fetchone()
    if row is None or row[0] is None:
        return None
    return transactions.as_moment(row[1]) - transactions.as_moment(row[0])


def overdue() -> bool:
    """Whether no tick ran for so long that a worker should run one itself."""
    age = last_tick_age()
    return age is None or age > conf.get().TICK * _OVERDUE_TICKS
