"""What a run reads from the database grows with its steps, and not with their square."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db.backends.utils import CursorWrapper

from inngest_django import ids
from inngest_django.client import Inngest
from inngest_django.engine import memo_cache
from inngest_django.models import Run, Step
from inngest_django.serialization import dumps
from tests.engine.support import Engine
from tests.engine.test_protocol import declare

STEPS = 60
WAYS = pytest.mark.parametrize(
    "checkpointing", [False, {"max_steps": 5}], ids=["one step a task", "checkpointing"]
)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> collections.Counter[int]:
    """Count how often a row that tells of a step came from the database, by its number."""
    told = {ids.hash_step_id(f"s{n}", 0): n for n in range(STEPS)}
    told |= {dumps(f"result {n}"): n for n in range(STEPS)}
    counts: collections.Counter[int] = collections.Counter()

    def note(row: Any) -> Any:
        for n in {told[value] for value in row or () if isinstance(value, str) and value in told}:
            counts[n] += 1
        return row

    def each(cursor: Any) -> Iterator[Any]:
        return map(note, cursor.cursor)

    def several(name: str) -> Callable[..., list[Any]]:
        return lambda cursor, *args: [note(row) for row in getattr(cursor.cursor, name)(*args)]

    monkeypatch.setattr(
        CursorWrapper, "fetchone", lambda c: note(c.cursor.fetchone()), raising=False
    )
    monkeypatch.setattr(CursorWrapper, "fetchmany", several("fetchmany"), raising=False)
    monkeypatch.setattr(CursorWrapper, "fetchall", several("fetchall"), raising=False)
    monkeypatch.setattr(CursorWrapper, "__iter__", each)
    return counts


def _run(engine: Engine, client: Inngest, monkeypatch: pytest.MonkeyPatch, *, workers: int,
         checkpointing: Any) -> Run:  # fmt: skip
    """Have workers take turns at the tasks of a run, each with a memory of its own."""

    @declare(client, checkpointing=checkpointing)
    def sequence(ctx):
        return [ctx.step.run(f"s{n}", lambda n=n: f"result {n}") for n in range(STEPS)]

    memories: list[Any] = [collections.OrderedDict() for _ in range(workers)]
    event_id = engine.send("test/started")
    while engine.jobs or engine.wants_routing:
        monkeypatch.setattr(memo_cache, "_runs", memories[0])
        engine.step()
        memories.append(memories.pop(0))
    run = engine.run_of(event_id)
    assert run.output == [f"result {n}" for n in range(STEPS)]
    return run


@WAYS
@pytest.mark.parametrize("workers", [1, 2])
def test_each_worker_reads_a_step_once(
    engine: Engine, client: Inngest, monkeypatch: pytest.MonkeyPatch,
    read: collections.Counter[int], workers: int, checkpointing: Any,
) -> None:  # fmt: skip
    run = _run(engine, client, monkeypatch, workers=workers, checkpointing=checkpointing)

    assert max(read.values(), default=0) <= workers
    # That they were counted at all.
    read.clear()
    assert len(Step.objects.filter(run=run)) == STEPS
    assert read == dict.fromkeys(range(STEPS), 1)


@WAYS
def test_worker_that_remembers_nothing_reads_with_the_square(
    engine: Engine, client: Inngest, monkeypatch: pytest.MonkeyPatch,
    read: collections.Counter[int], checkpointing: Any,
) -> None:  # fmt: skip
    monkeypatch.setattr(memo_cache, "MAX_RUNS", 0)

    _run(engine, client, monkeypatch, workers=1, checkpointing=checkpointing)

    tasks = STEPS // (5 if checkpointing else 1)
    assert read.total() >= tasks * (STEPS - 1) / 2
