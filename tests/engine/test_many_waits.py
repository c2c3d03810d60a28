"""Many waits and one event: each is decided as its condition says, at the same price."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from inngest_django import ids
from inngest_django.client import Inngest
from inngest_django.engine import routing, transactions, waits
from inngest_django.models import Event, Job, Run, Step, Wait, WaitKey, WaitKind
from tests.engine.support import Engine
from tests.engine.test_protocol import declare

CONDITION = "async.data.n >= event.data.least && async.data.kind == event.data.kind"
CHUNK = 2000


@pytest.fixture
def template(engine: Engine, client: Inngest) -> Run:
    """A run that the engine itself brought to its wait; the others are copies of it."""

    @declare(client)
    def waiter(ctx: Any) -> Any:
        event = ctx.step.wait_for_event("answer", event="test/go", if_exp=CONDITION, timeout="1h")
        return event.data["n"] if event else None

    run = engine.start("test/started", {"least": 10**9, "kind": "even"})
    assert Wait.objects.get(run=run).status == "open"
    return run


def data_of(number: int) -> dict[str, Any]:
    return {"least": number, "kind": "odd" if number % 2 else "even"}


def add_waiting(template: Run, first: int, count: int) -> None:
    """Add runs that wait, numbered from ``first``; their waits by the engine's own function."""
    event, step = template.event, template.steps.get()
    job, now = Job.objects.get(run=template), transactions.now()
    numbers = range(first, first + count)
    events = [
        Event(
            id=ids.new_ulid(), name=event.name, data=data_of(number), ts=event.ts,
            received_at=event.received_at, routed_at=event.routed_at, seq=event.seq,
        )
        for number in numbers
    ]  # fmt: skip
    runs = [
        Run(
            id=ids.new_ulid(), function_id=template.function_id, status="running", event=one,
            queued_at=now, started_at=now, floor_seq=template.floor_seq,
        )
        for one in events
    ]  # fmt: skip
    steps = [
        Step(
            run=run, hashed_id=step.hashed_id, name=step.name, op=step.op, status=step.status,
            input=step.input, started_at=now,
        )
        for run in runs
    ]  # fmt: skip
    with transactions.write():
        Event.objects.bulk_create(events)
        Run.objects.bulk_create(runs)
        Step.objects.bulk_create(steps)
        Job.objects.bulk_create(
            Job(
                run=one.run, step=one, kind=job.kind, function_id=job.function_id,
                available_at=job.available_at, next_hint_at=job.next_hint_at,
            )
            for one in steps
        )  # fmt: skip
        for one in steps:
            waits.open_wait(
                run_id=one.run.pk, step_id=one.pk, kind=WaitKind.EVENT, event_name="test/go",
                expression=CONDITION, payload=one.run.event.payload(),
                floor_seq=template.floor_seq, expires_at=now + dt.timedelta(hours=1), now=now,
            )  # fmt: skip


@dataclasses.dataclass
class Count:
    """Statements, and the most runs that one of them locked."""

    statements: int = 0
    most_runs: int = 0


@contextlib.contextmanager
def counted() -> Iterator[Count]:
    count = Count()

    def count_one(execute: Any, sql: str, params: Any, *rest: Any) -> Any:
        count.statements += 1
        if re.search(r"FROM inngest_run WHERE id (IN|= ANY)", sql):
            # Several statements in one message: the runs are the first list.
            runs = next((param for param in params if isinstance(param, list)), params)
            count.most_runs = max(count.most_runs, len(runs))
        return execute(sql, params, *rest)

    with connection.execute_wrapper(count_one):
        yield count


def release(engine: Engine, *, n: int, kind: str) -> tuple[int, Count]:
    """Send the event and route it; returns how many waits it settled, and its statements."""
    before = Wait.objects.filter(status="open").count()
    engine.send("test/go", {"n": n, "kind": kind})
    with counted() as count:
        assert routing.route() == 1
    return before - Wait.objects.filter(status="open").count(), count


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("size", [400, pytest.param(100_000, marks=pytest.mark.slow)])
def test_one_event_wakes_whom_it_should_at_the_same_price_each(
    engine: Engine, template: Run, size: int
) -> None:
    small = 200
    add_waiting(template, 0, small)
    settled, count = release(engine, n=small, kind="odd")
    assert settled == small // 2
    price = count.statements / settled

    for first in range(small, small + size, CHUNK):
        add_waiting(template, first, min(CHUNK, small + size - first))
    # A quarter: of the even ones, which have all waited, those below the middle.
    middle = small + size // 2
    settled, count = release(engine, n=middle, kind="even")

    # What the condition says, decided by Python.
    wanted = {n for n in range(small + size) if n <= middle and n % 2 == 0}
    matched = Wait.objects.filter(status="matched", matched_event__data__contains='"even"')
    found = {data["least"] for data in matched.values_list("run__event__data", flat=True)}
    assert found == wanted
    assert settled == len(wanted)
    # No more for each than when there were few: no term grows with how many there are.
    assert count.statements / settled <= price * 1.05
    assert count.statements / settled < 20
    # And few locks at a time, however many runs one event resumes.
    assert 0 < count.most_runs <= 100
    # Each can go on, and those that can not still wait.
    woken = Run.objects.filter(waits__in=matched)
    assert Job.objects.filter(run__in=woken, kind="enter").count() == settled
    assert not Job.objects.filter(run__in=woken).exclude(kind="enter").exists()
    still = Wait.objects.filter(status="open")
    assert Job.objects.filter(kind="wait", step__in=still.values("step")).count() == still.count()
    assert not WaitKey.objects.exclude(wait__in=still).exists()
