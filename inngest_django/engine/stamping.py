"""Stamping: giving committed events their place in the order.

A short transaction of its own, one at a time, so that the order of ``seq`` is the order of
commits, and what is committed at a moment is everything up to a number: the floor of waits.
Within one batch the order is that of the inserts by the database's clock: ids begin with the
time of the sender's host, which may be behind that of another.

A place may be lost when the server dies before it is on disk, and is then given anew. No
durable commit has seen it, for that one would have written it along; but a process may have.
So who looks at events after stamping them does both again when its connection breaks, and
nothing is marked routed that has no place.
"""

from __future__ import annotations

from typing import Any

from inngest_django.engine import crash_points, hot_path, transactions
from inngest_django.models import Counter

STAMP_BATCH = 500


def stamp(*, is_expected: bool = False) -> int:
    """Give committed events their place in the order; returns how many.

    One at a time: the counter's row lock is held until the commit, and is taken in a
    statement of its own, so that the update sees what the previous holder committed.

    Args:
        is_expected: Somebody said that there are such events: the lock is taken without a
            look whether it is needed.
    """
    if not is_expected and not _is_needed():
        return 0
    total = 0
    while True:
        count = transactions.retrying(_stamp_batch)
        crash_points.reach("stamp.committed")
        total += count
        if count < STAMP_BATCH:
            return total


def _is_needed() -> bool:
    return bool(
        hot_path.fetch(
            "SELECT 1 FROM inngest_event WHERE seq IS NULL AND routed_at IS NULL LIMIT 1", ()
        )
    )


def _stamp_batch() -> int:
    if hot_path.can_exchange():
        stamped = hot_path.stamp(limit=STAMP_BATCH)
        if stamped is not None:
            return stamped
    on_postgresql = transactions.is_postgresql()
    lock = "FOR NO KEY UPDATE SKIP LOCKED" if on_postgresql else ""
    with transactions.write() as cursor:
        last = _lock_counter(cursor)
        cursor.execute(
            "UPDATE inngest_event SET seq = n.place + %s FROM ("
            " SELECT id AS event_id, row_number() OVER (ORDER BY received_at, id) AS place FROM ("
            "  SELECT id, received_at FROM inngest_event WHERE seq IS NULL AND routed_at IS NULL"
            f"  ORDER BY received_at, id LIMIT %s {lock}) AS batch) AS n"
            " WHERE inngest_event.id = n.event_id",
            (last, STAMP_BATCH),
        )
        count = int(cursor.rowcount)
        if count:
            cursor.execute("UPDATE inngest_counter SET last_seq = %s WHERE id = 1", (last + count,))
        crash_points.reach("stamp.written")
        return count


def _lock_counter(cursor: Any) -> int:
    lock = "FOR NO KEY UPDATE" if transactions.is_postgresql() else ""
    for _ in range(2):
        cursor.execute(f"SELECT last_seq FROM inngest_counter WHERE id = 1 {lock}")
        row = cursor.fetchone()
        if row is not None:
            return int(row[0])
        Counter.objects.bulk_create([Counter(id=1, last_seq=0)], ignore_conflicts=True)
    raise AssertionError("the counter row cannot be created")
