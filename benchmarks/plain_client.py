"""The plain side's client."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import chain, chord, group

from benchmarks import clients
from benchmarks.clients import Figures, wait_for
from benchmarks.places import Place, Server
from benchmarks.plain_celery import MARKS, app, join, late, noop, step

_connection = Server.from_environment().connect(Place.from_environment().database)


def _one(sql: str, *params: Any) -> Any:
    return _connection.execute(sql, params).fetchone()[0]


def _stored(
    send: Callable[[], Any], *, results: int, what: str, every: float = clients.MANY
) -> float:
    """Return the seconds from before sending until so many results are stored."""
    _connection.execute("TRUNCATE celery_taskmeta")
    started = time.monotonic()
    send()
    wait_for(
        lambda: _one("SELECT count(*) FROM celery_taskmeta WHERE status = 'SUCCESS'") >= results,
        what=what,
        every=every,
    )
    return time.monotonic() - started


def _marked(
    send: Callable[[], Any], *, marks: int, what: str, every: float = clients.MANY
) -> tuple[float, list[float]]:
    path = Path(MARKS)
    path.write_text("")
    started = time.monotonic()
    send()
    # The first mark is 2 bytes, others longer: the size bounds the number from above.
    wait_for(
        lambda: path.stat().st_size >= 2 * marks and path.read_text().count("\n") >= marks,
        what=what,
        every=every,
    )
    return time.monotonic() - started, [float(line) for line in path.read_text().split()]


def prepare() -> Figures:
    """Have the worker open what it keeps open, and make the table of results."""
    for _ in range(8):
        step.delay(0)
    app.backend.ResultSession()  # Makes the tables.
    wait_for(
        lambda: _one("SELECT count(*) FROM celery_taskmeta WHERE status = 'SUCCESS'") >= 8,
        what="the warm-up",
    )
    _marked(lambda: [noop.delay(1) for _ in range(8)], marks=8, what="the warm-up")
    return {}


def rest() -> Figures:
    """Wait until nothing is left to do."""
    wait_for(lambda: clients.waiting_messages(app) == 0, what="what was left to do")
    return {}


def w1(*, runs: int, latencies: int) -> Figures:
    """Tasks on their own, all at once and one at a time."""
    took = _stored(
        lambda: [step.apply_async((0,)) for _ in range(runs)], results=runs, what=f"{runs} tasks"
    )
    times = []
    for _ in range(latencies):
        started = time.monotonic()
        task_id = step.apply_async((0,)).id
        wait_for(
            lambda task_id=task_id: _one(
                "SELECT EXISTS (SELECT 1 FROM celery_taskmeta WHERE task_id = %s"
                " AND status = 'SUCCESS')",
                task_id,
            ),
            every=clients.SINGLE,
            what="a task",
        )
        times.append(time.monotonic() - started)
    return {"runs": runs / took, "latency": 1000 * clients.quantile(times, 0.5)}


def w2(*, runs: int, steps: int) -> Figures:
    """Chains, and chains that store nothing."""

    def send() -> None:
        for _ in range(runs):
            chain(step.s(0), *[step.s() for _ in range(steps - 1)]).apply_async()

    took = _stored(send, results=runs * steps, what=f"{runs} chains")
    empty, _ = _marked(
        lambda: [noop.apply_async((steps,)) for _ in range(runs)],
        marks=runs * steps,
        what=f"{runs} no-op chains",
    )
    return {"steps": runs * steps / took, "noop": runs * steps / empty}


def w3(*, steps: int) -> Figures:
    """A chord, and as many tasks that do nothing."""
    took = _stored(
        lambda: chord(group(step.s(0) for _ in range(steps)))(join.s()),
        results=steps + 1,
        what="the chord",
        every=clients.GROUP,
    )
    empty, _ = _marked(
        lambda: [noop.apply_async((1,)) for _ in range(steps)],
        marks=steps,
        what="no-op tasks",
        every=clients.GROUP,
    )
    return {"seconds": took, "noop": empty}


def w4(*, steps: int) -> Figures:
    """One long chain."""
    took = _stored(
        lambda: chain(step.s(0), *[step.s() for _ in range(steps - 1)]).apply_async(),
        results=steps,
        what="the long chain",
    )
    return {"seconds": took}


def w6(*, sleeps: int, ahead: float) -> Figures:
    """Tasks with an ETA, kept in the worker's memory."""
    first = time.time() + ahead
    due = [first + 5.0 * number / sleeps for number in range(sleeps)]

    def send() -> None:
        import datetime as dt

        for moment in due:
            late.apply_async((moment,), eta=dt.datetime.fromtimestamp(moment, dt.UTC))

    _, lateness = _marked(send, marks=sleeps, what="tasks with an ETA")
    return {
        "p50": 1000 * clients.quantile(lateness, 0.5),
        "p95": 1000 * clients.quantile(lateness, 0.95),
    }


def many(*, runs: int) -> Figures:
    """A load for its own sake, for what it leaves in a worker's memory."""
    left = runs
    while left > 0:
        count = min(left, 1000)
        _stored(
            lambda count=count: [step.apply_async((0,)) for _ in range(count)],  # type: ignore[misc]
            results=count,
            what=f"{count} tasks",
        )
        left -= count
    return {}


def load(*, function: str, runs: int, steps: int) -> Figures:
    """A load whose cost is measured: tasks, chains of them, or tasks that do nothing."""
    if function == "noop":
        _marked(
            lambda: [noop.apply_async((1,)) for _ in range(runs * steps)],
            marks=runs * steps,
            what="no-op tasks",
        )
        return {}
    if function != "step":
        raise ValueError(f"plain Celery has no {function!r}")

    def send() -> None:
        for _ in range(runs):
            if steps == 1:
                step.apply_async((0,))
            else:
                chain(step.s(0), *[step.s() for _ in range(steps - 1)]).apply_async()

    _stored(send, results=runs * steps, what=f"{runs} times {steps} tasks")
    return {}


if __name__ == "__main__":
    clients.serve(
        {
            function.__name__: function
            for function in (prepare, rest, w1, w2, w3, w4, w6, many, load)
        }
    )
