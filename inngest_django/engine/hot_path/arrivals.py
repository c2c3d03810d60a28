"""Arriving events: what routing asks and writes for each of them."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from inngest_django.engine import transactions
from inngest_django.engine.hot_path import wire
from inngest_django.engine.hot_path.moments import as_param, first_hint_at

# SQLite takes that many parameters in every version that is supported.
_CHUNK = 512

_INSERTS = 100
_RUN_VALUES = "(%s, %s, %s, 'queued', '', %s, %s, NULL, NULL, %s, NULL, NULL, %s, %s, 0, %s, %s)"
_ENTER_VALUES = "(%s, NULL, 'enter', %s, %s, 0, NULL, NULL, '', %s, 0, 0, %s, 0, '')"

_V = TypeVar("_V", int, str)


def has_unstamped() -> bool:
    """Whether a committed event has no place in the order yet.

    ORM form: ``Event.objects.filter(seq=None, routed_at=None).exists()``.
    """
    return bool(
        wire.fetch(
            "SELECT 1 FROM inngest_event WHERE seq IS NULL AND routed_at IS NULL LIMIT 1", ()
        )
    )


def wait_shapes(event_names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the forms of conditions that open waits for some names have: name, form.

    ORM form: ``WaitShape.objects.filter(event_name__in=…).values_list("event_name", "spec")``.
    """
    found: list[tuple[str, str]] = []
    for some in _chunks(event_names):
        found += wire.fetch(
            "SELECT event_name, spec FROM inngest_wait_shape"
            f" WHERE event_name IN ({transactions.in_list(len(some))})",
            some,
        )
    return found


def waits_by_key(keys: Sequence[int]) -> list[tuple[int, int]]:
    """Return key and id of the open waits that events with some keys may resume.

    ORM form: ``WaitKey.objects.filter(key__in=keys, wait__status="open")
    .values_list("key", "wait_id")``.
    """
    found: list[tuple[int, int]] = []
    for some in _chunks(keys):
        found += wire.fetch(
            "SELECT k.key, k.wait_id FROM inngest_wait_key k"
            " JOIN inngest_wait w ON w.id = k.wait_id"
            f" WHERE k.key IN ({transactions.in_list(len(some))}) AND w.status = 'open'",
            some,
        )
    return found


def lock_unrouted(cursor: Any, event_ids: Sequence[str]) -> tuple[set[str], dt.datetime]:
    """Lock the events of these that are not routed yet; returns their ids, and now.

    What another router holds is left to it. ORM form: ``Event.objects.filter(pk__in=event_ids,
    routed_at=None).order_by("seq").select_for_update(no_key=True, skip_locked=True)``.
    """
    lock = "FOR NO KEY UPDATE SKIP LOCKED" if transactions.is_postgresql() else ""
    cursor.execute(
        f"SELECT id, {transactions.now_sql()} FROM inngest_event"
        f" WHERE id IN ({transactions.in_list(len(event_ids))}) AND routed_at IS NULL"
        f" ORDER BY seq {lock}",
        tuple(event_ids),
    )
    rows = cursor.fetchall()
    now = transactions.as_moment(rows[0][1]) if rows else transactions.now()
    return {row[0] for row in rows}, now


def mark_routed(cursor: Any, event_ids: Sequence[str], *, now: dt.datetime) -> None:
    """Note that events have acted.

    ORM form: ``Event.objects.filter(pk__in=event_ids).update(routed_at=now)``.
    """
    cursor.execute(
        "UPDATE inngest_event SET routed_at = %s"
        f" WHERE id IN ({transactions.in_list(len(event_ids))})",
        (as_param(now), *event_ids),
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NewRun:
    """A run to insert, with its first entry; ``event_ids`` is JSON text."""

    id: str
    function_id: str
    function_version: int
    event_id: str
    event_ids: str | None
    floor_seq: int
    parent_id: int | None
    original_run_id: str | None
    has_unscanned_rules: bool
    available_at: dt.datetime


def insert_runs(cursor: Any, runs: Sequence[NewRun], *, now: dt.datetime) -> dict[str, int]:
    """Insert queued runs with their entries; returns the ids of the jobs, by run.

    ORM form: ``Run.objects.bulk_create([…])``; ``Job.objects.bulk_create([…])``.
    """
    jobs: dict[str, int] = {}
    for first in range(0, len(runs), _INSERTS):
        some = runs[first : first + _INSERTS]
        rows = ", ".join([_RUN_VALUES] * len(some))
        cursor.execute(
            "INSERT INTO inngest_run (id, function_id, function_version, status, reason,"
            " event_id, event_ids, output, error, queued_at, started_at, ended_at, parent_id,"
            f" original_run_id, revision, floor_seq, has_unscanned_rules) VALUES {rows}",
            [value for run in some for value in _run_values(run, now)],
        )
        rows = ", ".join([_ENTER_VALUES] * len(some))
        cursor.execute(
            "INSERT INTO inngest_job (run_id, step_id, kind, function_id, available_at, attempt,"
            " lease_token, leased_until, lease_owner, is_draining, loss_count, free_loss_count,"
            f" next_hint_at, hint_count, note) VALUES {rows} RETURNING run_id, id",
            [value for run in some for value in _enter_values(run, now)],
        )
        jobs.update(cursor.fetchall())
    return jobs


def _run_values(run: NewRun, now: dt.datetime) -> tuple[Any, ...]:
    return (
        run.id,
        run.function_id,
        run.function_version,
        run.event_id,
        run.event_ids,
        as_param(now),
        run.parent_id,
        run.original_run_id,
        run.floor_seq,
        run.has_unscanned_rules,
    )


def _enter_values(run: NewRun, now: dt.datetime) -> tuple[Any, ...]:
    return (
        run.id,
        run.function_id,
        as_param(run.available_at),
        False,
        as_param(first_hint_at(run.available_at, now)),
    )


def _chunks(values: Sequence[_V]) -> Iterator[Sequence[_V]]:
    """Yield the values in portions, each filled up with its last value to a power of two.

    Every length is a statement of its own for the server to prepare; so there are ten.
    """
    for first in range(0, len(values), _CHUNK):
        portion: list[_V] = list(values[first : first + _CHUNK])
        missing: int = (1 << (len(portion) - 1).bit_length()) - len(portion)
        yield portion + portion[-1:] * missing
