"""Due: what the tick takes to hint for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from inngest_django.engine import transactions
from inngest_django.engine.hot_path.moments import HINT_GRACE, lookahead, now_plus
from inngest_django.engine.hot_path.rows import DueJob, Waiting


def take_due(*, limit: int) -> list[DueJob]:
    """Return jobs whose hint is due soon, pushing their next hint back, oldest first.

    ORM form: ``Job.objects.filter(next_hint_at__lte=…).exclude(leased_until__gt=…)
    .order_by("next_hint_at").select_for_update(skip_locked=True)[:limit]`` and an update.
    Several ticks at once share the work. The wait before hinting again doubles, to at most
    15 s. A leased job keeps its place and is passed over until the lease has expired: a lease
    that moved it would write to every index of the table.
    """
    now, soon = transactions.now_sql(), now_plus(lookahead().total_seconds())
    if transactions.is_postgresql():
        again = (
            f"greatest(available_at, coalesce(leased_until, available_at), {now})"
            " + least(15, 2 ^ least(hint_count + 1, 4)) * interval '1 second'"
        )
        lock = "FOR UPDATE SKIP LOCKED"
    else:
        again = (
            "strftime('%%Y-%%m-%%d %%H:%%M:%%f', max(available_at,"
            f" coalesce(leased_until, available_at), {now}),"
            " '+' || min(15, 2 << min(hint_count, 3)) || ' seconds')"
        )
        lock = ""
    with transactions.write() as cursor:
        cursor.execute(
            f"UPDATE inngest_job SET next_hint_at = {again}, hint_count = hint_count + 1"
            f" WHERE id IN (SELECT id FROM inngest_job WHERE next_hint_at <= {soon}"
            f" AND (leased_until IS NULL OR leased_until <= {soon})"
            f" ORDER BY next_hint_at LIMIT %s {lock})"
            f" RETURNING id, function_id, available_at, leased_until, hint_count, {now}",
            (limit,),
        )
        return [_due_job(*row) for row in cursor.fetchall()]


def _due_job(
    job_id: int, function_id: str, available_at: Any, leased_until: Any, count: int, now: Any
) -> DueJob:
    """Return a job, whose hint is its ``count``-th by the tick."""
    due_at = transactions.as_moment(available_at)
    if leased_until is not None:
        # Its worker was lost, and whatever message there was.
        return DueJob(
            job_id, function_id, max(due_at, transactions.as_moment(leased_until)), repeats=0
        )
    # The writer of a job hints for it when it is due soon, and trusts that for a while.
    was_hinted = transactions.as_moment(now) - due_at >= HINT_GRACE - lookahead()
    return DueJob(job_id, function_id, due_at, repeats=count if was_hinted else count - 1)


def what_waits() -> Waiting:
    """Return what a tick would have to do beside its jobs; one round trip.

    ORM form: for each of the three questions an ``exists``. As one condition, neither partial
    index of the events would answer. Without an order the statistics of a busy moment promise
    a row at once, and then every event is read. Not prepared, for a plan that was made while
    the tables were empty would be kept.
    """
    soon = now_plus(lookahead().total_seconds())
    with transactions.connection().cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT 1 FROM inngest_event WHERE routed_at IS NULL AND seq IS NOT NULL"
            " ORDER BY seq LIMIT 1), (SELECT 1 FROM inngest_event WHERE routed_at IS NULL"
            " AND seq IS NULL ORDER BY received_at, id LIMIT 1), (SELECT 1 FROM inngest_schedule"
            f" WHERE fires_at <= {soon} ORDER BY fires_at LIMIT 1)"
        )
        stamped, unstamped, fires = cursor.fetchone()
    return Waiting(routing=bool(stamped or unstamped), schedules=bool(fires))


def hint_again(job_ids: Iterable[int], *, in_seconds: float) -> None:
    """Bring hints forward that could not be published. ORM form: an ``update``."""
    ids = sorted(job_ids)
    if not ids:
        return
    with transactions.write() as cursor:
        cursor.execute(
            f"UPDATE inngest_job SET next_hint_at = {now_plus(in_seconds)}, hint_count = 0"
            f" WHERE id IN ({transactions.in_list(len(ids))}) AND lease_token IS NULL",
            ids,
        )
