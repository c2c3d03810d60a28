"""Due: what the tick takes to hint for."""

from __future__ import annotations

from collections.abc import Iterable

from inngest_django.engine import transactions
from inngest_django.engine.hot_path.moments import now_plus
from inngest_django.engine.hot_path.rows import DueJob


def take_due(*, lookahead: float, limit: int) -> list[DueJob]:
    """Return jobs whose hint is due soon, pushing their next hint back, oldest first.

    ORM form: ``Job.objects.filter(next_hint_at__lte=…).order_by("next_hint_at")
    .select_for_update(skip_locked=True)[:limit]`` and an update. Several ticks at once share
    the work. The wait before hinting again doubles, to at most 15 s.
    """
    now = transactions.now_sql()
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
            f" WHERE id IN (SELECT id FROM inngest_job WHERE next_hint_at <= {now_plus(lookahead)}"
            f" ORDER BY next_hint_at LIMIT %s {lock})"
            " RETURNING id, function_id, available_at, leased_until",
            (limit,),
        )
        return [
            DueJob(
                row[0],
                row[1],
                max(transactions.as_moment(row[2]), transactions.as_moment(row[3]))
                if row[3]
                else transactions.as_moment(row[2]),
            )
            for row in cursor.fetchall()
        ]


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
