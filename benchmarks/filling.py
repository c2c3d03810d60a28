"""Open waits and sleeps by SQL: what as many suspended runs leave in the tables."""

from __future__ import annotations

import io
from typing import Any

from django.db import connection

from benchmarks.functions import WAIT_CONDITION, WAIT_EVENT, sleeping, waiting
from inngest_django import expressions

CHUNK = 100_000
_RUN = "'00FILL' || lpad(n::text, 20, '0')"

_STATEMENTS = (
    f"""INSERT INTO inngest_event (id, name, data, ts, received_at, routed_at, seq)
    SELECT {_RUN}, 'benchmarks/waiting', '{{"number":' || n || '}}', 1700000000000, now(), now(), 1
    FROM generate_series(%(first)s::bigint, %(last)s) n""",
    f"""INSERT INTO inngest_run (id, function_id, function_version, status, reason, event_id,
      queued_at, started_at, revision, floor_seq, has_unscanned_rules)
    SELECT {_RUN}, %(function)s, 1, 'running', '', {_RUN}, now(), now(), 0, 1, false
    FROM generate_series(%(first)s::bigint, %(last)s) n""",
    f"""INSERT INTO inngest_step (id, run_id, hashed_id, name, "index", op, status, mode, input,
      attempt_count, started_at)
    SELECT %(step)s + n, {_RUN}, %(hashed)s, %(named)s, 0, %(op)s, 'waiting', '', '{{}}', 0, now()
    FROM generate_series(%(first)s::bigint, %(last)s) n""",
    f"""INSERT INTO inngest_job (run_id, step_id, kind, function_id, available_at, attempt,
      lease_owner, is_draining, loss_count, free_loss_count, next_hint_at, hint_count, note)
    SELECT {_RUN}, %(step)s + n, %(named)s, %(function)s, at, 0, '', false, 0, 0, at, 0, ''
    FROM (SELECT n, now() + interval '30 days' + n * interval '1 ms' AS at
      FROM generate_series(%(first)s::bigint, %(last)s) n) AS filled""",
    f"""INSERT INTO inngest_wait (id, run_id, step_id, kind, status, event_name, expression,
      constants, floor_seq, expires_at, created_at)
    SELECT %(wait)s + n, {_RUN}, %(step)s + n, 'event', 'open', %(name)s, %(condition)s,
      '{{"data":{{"number":' || n || '}}}}', 1, now() + interval '30 days', now()
    FROM generate_series(%(first)s::bigint, %(last)s) n""",
)
TABLES = ("wait_key", "wait", "job", "step", "run", "event")


def add_waits(count: int) -> None:
    """Add open waits with numbers from 0, each with its run, event, step, job and key."""
    from inngest_django.ids import hash_step_id

    program = expressions.compile(WAIT_CONDITION, kind="wait")
    with connection.cursor() as cursor:
        step = _reserve(cursor, "inngest_step", count)
        wait = _reserve(cursor, "inngest_wait", count)
        # Checking a million references one by one would take most of the time.
        cursor.execute("SET session_replication_role = replica")
        for first in range(0, count, CHUNK):
            last = min(first + CHUNK, count) - 1
            values = {
                "first": first,
                "last": last,
                "function": waiting.id,
                "named": "wait",
                "op": "WaitForEvent",
                "step": step,
                "wait": wait,
                "hashed": hash_step_id("wait", 0),
                "name": WAIT_EVENT,
                "condition": WAIT_CONDITION,
            }
            for statement in _STATEMENTS:
                cursor.execute(statement, values)
            _copy_keys(cursor, program, first=first, last=last, wait=wait)
        cursor.execute("SET session_replication_role = origin")
        shapes = expressions.plan(program, event=_event(0), event_name=WAIT_EVENT).shapes
        for spec in shapes:
            cursor.execute(
                "INSERT INTO inngest_wait_shape (event_name, spec) VALUES (%s, %s)"
                " ON CONFLICT DO NOTHING",
                (WAIT_EVENT, spec),
            )
        for table in TABLES:
            cursor.execute(f"VACUUM ANALYZE inngest_{table}")


def add_sleeps(count: int) -> None:
    """Add runs that sleep for a month, each with its event, step and job."""
    from inngest_django.ids import hash_step_id

    with connection.cursor() as cursor:
        values = {
            "first": 0,
            "last": count - 1,
            "function": sleeping.id,
            "named": "sleep",
            "op": "Sleep",
            "step": _reserve(cursor, "inngest_step", count),
            "hashed": hash_step_id("sleep", 0),
        }
        cursor.execute("SET session_replication_role = replica")
        for statement in _STATEMENTS[:4]:
            cursor.execute(statement, values)
        cursor.execute("SET session_replication_role = origin")
        for table in TABLES:
            cursor.execute(f"VACUUM ANALYZE inngest_{table}")


def remove_waits() -> None:
    """Empty the tables; only while nothing runs."""
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(f'inngest_{table}' for table in TABLES)} CASCADE")


def _event(number: int) -> dict[str, Any]:
    return {
        "id": "",
        "name": "benchmarks/waiting",
        "data": {"number": number},
        "ts": 1_700_000_000_000,
        "user": {},
    }


def _copy_keys(cursor: Any, program: Any, *, first: int, last: int, wait: int) -> None:
    lines = io.StringIO()
    for number in range(first, last + 1):
        plan = expressions.plan(program, event=_event(number), event_name=WAIT_EVENT)
        lines.writelines(f"{key}\t{wait + number}\n" for key in plan.keys)
    with cursor.copy("COPY inngest_wait_key (key, wait_id) FROM STDIN") as copy:
        copy.write(lines.getvalue())


def _reserve(cursor: Any, table: str, count: int) -> int:
    """Return the number after which so many ids are ours."""
    cursor.execute(
        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'),"
        f" nextval(pg_get_serial_sequence('{table}', 'id')) + %s)",
        (count,),
    )
    return int(cursor.fetchone()[0]) - count
