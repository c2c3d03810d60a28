"""Keys that let a function start once: a sender's id, an expression's value, a scheduled time."""

from __future__ import annotations

import datetime as dt

from inngest_django.durations import parse_duration
from inngest_django.engine import hot_path, transactions
from inngest_django.models import IdempotencyKey

WINDOW = parse_duration("24h")


def take(function_id: str, key: str, run_id: str, *, now: dt.datetime) -> bool:
    """Take a key for a day, in the surrounding transaction; False when a run has it."""
    table = IdempotencyKey._meta.db_table
    moment = hot_path.as_param(now)
    with transactions.connection().cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (function_id, key, run_id, expires_at) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (function_id, key) DO UPDATE SET run_id = excluded.run_id,"
            f" expires_at = excluded.expires_at WHERE {table}.expires_at <= %s RETURNING run_id",
            (function_id, key, run_id, hot_path.as_param(now + WINDOW), moment),
        )
        return cursor.fetchone() is not None
