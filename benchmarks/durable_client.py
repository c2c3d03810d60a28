"""The durable side's client."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence
from typing import Any

import django

from benchmarks.celery import app

django.setup()
# What is published in this process goes to the broker that is measured.
app.set_current()
app.set_default()

from django.db import connection
from django.db.backends.utils import CursorWrapper

from benchmarks import clients, filling
from benchmarks.clients import Figures, wait_for
from benchmarks.functions import WAIT_EVENT, client
from inngest_django import Event
from inngest_django.engine import hints, recovery
from inngest_django.engine.hints import JobHint

# Seconds after which an idle session of PostgreSQL has reported what it read: 10, and some.
_REPORT = 12.0


def _rows(sql: str, *params: Any) -> list[tuple[Any, ...]]:
    cursor: CursorWrapper
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def _one(sql: str, *params: Any) -> Any:
    return _rows(sql, *params)[0][0]


def _ended(ids: Sequence[str]) -> int:
    return int(
        _one(
            "SELECT count(*) FROM inngest_run WHERE event_id >= %s AND event_id = ANY(%s)"
            " AND ended_at IS NOT NULL",
            min(ids),
            list(ids),
        )
    )


def _has_ended(event_id: str) -> bool:
    """Look for the end of one run.

    Prepared, because it is asked every few milliseconds: as text, a look costs client and
    server half a millisecond, which the run has not.
    """
    connection.ensure_connection()
    found = connection.connection.execute(
        "SELECT 1 FROM inngest_run WHERE event_id = %s AND ended_at IS NOT NULL",
        (event_id,),
        prepare=True,
    )
    return found.fetchone() is not None


def _wait_for_end(ids: Sequence[str], *, what: str, every: float = clients.MANY) -> None:
    if len(ids) == 1:
        wait_for(lambda: _has_ended(ids[0]), what=what, every=every)
        return
    # The last one first: looking at all of them costs the server as much as some runs.
    wait_for(lambda: _ended(ids[-1:]) == 1 and _ended(ids) >= len(ids), what=what, every=every)
    failed = _one(
        "SELECT count(*) FROM inngest_run WHERE event_id = ANY(%s) AND status <> 'completed'",
        list(ids),
    )
    if failed:
        raise RuntimeError(f"{failed} of {len(ids)} runs ({what}) did not complete")


def _send(name: str, count: int, data: dict[str, Any]) -> list[str]:
    return client.send_sync([Event(name=name, data=data) for _ in range(count)])


def _timed(
    name: str, count: int, data: dict[str, Any], *, what: str, every: float = clients.MANY
) -> float:
    started = time.monotonic()
    ids = _send(name, count, data)
    _wait_for_end(ids, what=what, every=every)
    return time.monotonic() - started


def prepare() -> Figures:
    """Have the worker open what it keeps open, and fill its caches."""
    for name in ("sequence", "checkpointed"):
        _timed(f"benchmarks/{name}", 8, {"steps": 3}, what="the warm-up")
    return {}


def rest() -> Figures:
    """Wait until nothing is left to do: ends of runs are events, which the next tick routes."""
    wait_for(
        lambda: (
            _one(
                "SELECT NOT EXISTS (SELECT 1 FROM inngest_event WHERE routed_at IS NULL)"
                " AND NOT EXISTS (SELECT 1 FROM inngest_job WHERE available_at <= now())"
            )
            and clients.waiting_messages(app) == 0
        ),
        what="what was left to do",
    )
    return {}


def w1(*, runs: int, latencies: int) -> Figures:
    """Runs of one step: each event sent by itself, all in one call, and one at a time."""
    figures = {}
    for key, name in (("runs", "sequence"), ("runs_checkpointed", "checkpointed")):
        started = time.monotonic()
        ids = [_send(f"benchmarks/{name}", 1, {"steps": 1})[0] for _ in range(runs)]
        _wait_for_end(ids, what=f"{runs} runs of one step")
        figures[key] = runs / (time.monotonic() - started)
        took = _timed(
            f"benchmarks/{name}", runs, {"steps": 1}, what=f"{runs} runs of one step, sent at once"
        )
        figures[f"{key}_at_once"] = runs / took
    times = []
    for _ in range(latencies):
        started = time.monotonic()
        _wait_for_end(
            _send("benchmarks/sequence", 1, {"steps": 1}), what="a run", every=clients.SINGLE
        )
        times.append(time.monotonic() - started)
    figures["latency"] = 1000 * clients.quantile(times, 0.5)
    return figures


def w2(*, runs: int, steps: int) -> Figures:
    """Runs of several steps."""
    figures = {}
    for key, name in (("steps", "sequence"), ("steps_checkpointed", "checkpointed")):
        took = _timed(f"benchmarks/{name}", runs, {"steps": steps}, what=f"{runs} runs")
        figures[key] = runs * steps / took
    return figures


def w3(*, steps: int) -> Figures:
    """One run with a parallel group and its join."""
    took = _timed("benchmarks/parallel", 1, {"steps": steps}, what="the group", every=clients.GROUP)
    return {"seconds": took}


def w4(*, steps: int) -> Figures:
    """One long run: its time, how its end compares with its beginning, and what it read."""
    figures: Figures = {}
    for key, name in (("", "sequence"), ("_checkpointed", "checkpointed")):
        started = time.monotonic()
        ids = _send(f"benchmarks/{name}", 1, {"steps": steps})
        _wait_for_end(ids, what="the long run")
        figures[f"seconds{key}"] = time.monotonic() - started
        ended = _ends(ids[0])
        figures |= {f"growth{key}": _growth(ended), f"square{key}": _square(ended)}
    return figures


def _ends(event_id: str) -> list[float]:
    """Return when each step of a run ended, in seconds of the database's clock."""
    return [
        row[0].timestamp()
        for row in _rows(
            "SELECT s.ended_at FROM inngest_step s JOIN inngest_run r ON r.id = s.run_id"
            " WHERE r.event_id = %s ORDER BY s.revision",
            event_id,
        )
    ]


def _growth(ended: list[float]) -> float:
    """Return the time of the last steps over that of the first ones."""
    part = min(50, len(ended) // 3)
    return (ended[-1] - ended[-part - 1]) / (ended[part] - ended[0])


def _square(ended: list[float]) -> float:
    """Return what part of a run's time, in percent, grows with the square of its steps.

    The time is fitted by a + b n + c n²: a step then takes b + 2c n.
    """
    took = [later - earlier for earlier, later in itertools.pairwise(ended)]
    slope, least = statistics.linear_regression(range(len(took)), took)
    return 100 * (slope * len(took) / 2) / (least + slope * len(took) / 2)


def w4_reads(*, steps: int) -> Figures:
    """Rows of steps that the database read for one run, for each of its steps."""
    before = _step_reads()
    _timed("benchmarks/sequence", 1, {"steps": steps}, what="the run")
    return {f"reads_{steps}": (_step_reads() - before) / steps}


def _step_reads() -> int:
    """Return how many rows of steps were read so far, when all sessions have reported."""
    found, since = _reported(), time.monotonic()
    while time.monotonic() - since < _REPORT:
        time.sleep(0.5)
        latest = _reported()
        if latest != found:
            found, since = latest, time.monotonic()
    return found


def _reported() -> int:
    _rows("SELECT pg_stat_clear_snapshot()")
    return int(
        _one(
            "SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0) FROM pg_stat_user_tables"
            " WHERE relname = 'inngest_step'"
        )
    )


def w5_fill(*, waits: int) -> Figures:
    """Add open waits of other runs, by SQL."""
    started = time.monotonic()
    filling.add_waits(waits)
    return {"fill": time.monotonic() - started}


def w5(*, samples: int) -> Figures:
    """From an event to the end of the run that it resumes, one at a time."""
    # Fills know numbers from 0; the runs that are measured wait for others.
    numbers = [-(time.time_ns() // 1000) - number for number in range(samples)]
    ids = client.send_sync(
        [Event(name="benchmarks/waiting", data={"number": number}) for number in numbers]
    )
    wait_for(
        lambda: (
            _one(
                "SELECT count(*) FROM inngest_job j JOIN inngest_run r ON r.id = j.run_id"
                " WHERE r.event_id = ANY(%s) AND j.kind = 'wait' AND j.lease_token IS NULL",
                list(ids),
            )
            == samples
        ),
        what="waits",
    )
    times = []
    for number, event_id in zip(numbers, ids, strict=True):
        started = time.monotonic()
        client.send_sync(Event(name=WAIT_EVENT, data={"number": number}))
        _wait_for_end([event_id], what="a resumed run", every=clients.SINGLE)
        times.append(1000 * (time.monotonic() - started))
    return {"p50": clients.quantile(times, 0.5), "p95": clients.quantile(times, 0.95)}


def w5_empty() -> Figures:
    """Take the open waits out again."""
    filling.remove_waits()
    return {}


def w6(*, sleeps: int, ahead: float) -> Figures:
    """Sleeps that end evenly over five seconds."""
    first = time.time() + ahead
    due = [first + 5.0 * number / sleeps for number in range(sleeps)]
    ids = client.send_sync(
        [Event(name="benchmarks/sleeping", data={"until": moment}) for moment in due]
    )
    wait_for(
        lambda: (
            _one(
                "SELECT count(*) FROM inngest_step s JOIN inngest_run r ON r.id = s.run_id"
                " WHERE r.event_id = ANY(%s)",
                list(ids),
            )
            == sleeps
        ),
        what="sleeps",
    )
    slack = first - time.time()
    if slack < 0:
        raise RuntimeError(f"the first sleep was due {-slack:.1f} s before the last one began")
    _wait_for_end(ids, what="sleeps", every=0.05)
    moments = dict(zip(ids, due, strict=True))
    rows = _rows(
        "SELECT r.event_id, s.ended_at, r.ended_at FROM inngest_step s"
        " JOIN inngest_run r ON r.id = s.run_id WHERE r.event_id = ANY(%s)",
        list(ids),
    )
    woken = [1000 * (row[1].timestamp() - moments[row[0]]) for row in rows]
    ended = [1000 * (row[2].timestamp() - moments[row[0]]) for row in rows]
    if min(woken) < 0:
        raise RuntimeError(f"a sleep ended {-min(woken):.1f} ms early")
    return {
        "p50": clients.quantile(woken, 0.5),
        "p95": clients.quantile(woken, 0.95),
        "ended_p50": clients.quantile(ended, 0.5),
        "ended_p95": clients.quantile(ended, 0.95),
    }


class _Silent:
    def execute(self, _: Sequence[JobHint]) -> bool:
        return True

    def route(self) -> bool:
        return True

    def prune(self, _: int) -> bool:
        return True


def tick(*, samples: int) -> Figures:
    """A tick that finds nothing due, over whatever is in the tables."""
    previous = hints.install(_Silent())
    times = []
    try:
        for _ in range(samples):
            started = time.monotonic()
            recovery.tick()
            times.append(1000 * (time.monotonic() - started))
    finally:
        hints.install(previous)
    return {
        "p50": clients.quantile(times, 0.5),
        "p95": clients.quantile(times, 0.95),
        "max": max(times),
    }


def t_fill(*, sleeps: int) -> Figures:
    """Add sleeping runs, by SQL."""
    started = time.monotonic()
    filling.add_sleeps(sleeps)
    return {"fill": time.monotonic() - started}


def large(*, steps: int) -> Figures:
    """Results of 1 MiB each."""
    return {"seconds": _timed("benchmarks/large", 1, {"steps": steps}, what="large results")}


def many(*, runs: int) -> Figures:
    """A load for its own sake, for what it leaves in a worker's memory."""
    left = runs
    while left > 0:
        count = min(left, 1000)
        _timed("benchmarks/checkpointed", count, {"steps": 1}, what=f"{count} runs")
        left -= count
    return {}


def load(*, function: str, runs: int, steps: int) -> Figures:
    """A load whose cost is measured: runs of one step each by itself, others at once."""
    name, data = f"benchmarks/{function}", {"steps": steps}
    ids = [_send(name, 1, data)[0] for _ in range(runs)] if steps == 1 else _send(name, runs, data)
    _wait_for_end(ids, what=f"{runs} runs")
    return {}


if __name__ == "__main__":
    clients.serve(
        {
            function.__name__: function
            for function in (
                *(prepare, rest, w1, w2, w3, w4, w4_reads, w5, w5_fill, w5_empty, w6),
                *(t_fill, tick, large, many, load),
            )
        }
    )
