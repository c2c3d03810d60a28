"""Settled steps that this process has read before, so that an entry reads only newer ones.

Stored results never change, which is what makes them safe to keep. Without this a run of n
steps reads n²/2 results.
"""

from __future__ import annotations

import collections
import threading

from inngest_django.drivers.base import RACE_MODE
from inngest_django.engine.hot_path import Leased, NewStep, StepRow, begin_and_load, load_steps
from inngest_django.states import STEP_SETTLED, JobKind

MAX_RUNS = 256
MAX_CHARACTERS = 64 * 1024 * 1024
_ROW_CHARACTERS = 200  # What a row weighs besides its texts.


class _Known:
    __slots__ = ("characters", "open", "revision", "rows")

    def __init__(self) -> None:
        self.rows: dict[str, StepRow] = {}
        # By id. Of a group without a race: none is added to it while one of its steps is open.
        self.open: dict[int, StepRow] = {}
        self.revision = 0
        self.characters = 0


_runs: collections.OrderedDict[str, _Known] = collections.OrderedDict()
_lock = threading.Lock()
_characters = 0


def steps_of(leased: Leased) -> list[StepRow]:
    """Return all steps of a leased job's run, settled ones from memory where possible.

    The step that the job is there for begins with that.
    """
    global _characters
    with _lock:
        known = _runs.pop(leased.run_id, None) or _Known()
        _characters -= known.characters
    # Nothing settled since, and nothing open: there is nothing to read.
    is_current = known.revision == leased.revision and not leased.has_open_pieces
    loaded = []
    knows_group = leased.kind is JobKind.STEP and leased.step_id in known.open
    open_rows, known.open = known.open if knows_group else {}, {}
    if leased.kind is JobKind.STEP:
        loaded = begin_and_load(leased, after=known.revision, only_settled=knows_group)
    elif not is_current:
        loaded = load_steps(leased.run_id, after=known.revision, has_open=leased.has_open_pieces)
    for row in loaded:
        if row.status in STEP_SETTLED and row.revision is not None:
            known.rows[row.hashed_id] = row
            known.revision = max(known.revision, row.revision)
            known.characters += len(row.output or "") + len(row.error or "") + _ROW_CHARACTERS
            open_rows.pop(row.id, None)
        else:
            open_rows[row.id] = row
    known.revision = max(known.revision, leased.revision)
    rows = [*known.rows.values(), *open_rows.values()]
    if not any(row.mode == RACE_MODE for row in open_rows.values()):
        known.open = open_rows
    with _lock:
        other = _runs.pop(leased.run_id, None)
        if other is not None:
            _characters -= other.characters
        _runs[leased.run_id] = known
        _characters += known.characters
        while len(_runs) > MAX_RUNS or (_characters > MAX_CHARACTERS and len(_runs) > 1):
            _, dropped = _runs.popitem(last=False)
            _characters -= dropped.characters
        if _characters > MAX_CHARACTERS:
            _runs.clear()
            _characters = 0
    return rows


def add(run_id: str, step: NewStep, *, step_id: int, revision: int) -> None:
    """Keep a step that this process has just recorded, if it knew all the ones before it."""
    global _characters
    row = StepRow(step_id, step.hashed_id, step.op, step.status, step.output, step.error, revision)
    with _lock:
        known = _runs.get(run_id)
        if known is None or known.revision != revision - 1:
            return
        known.rows[row.hashed_id] = row
        known.revision = revision
        size = len(row.output or "") + len(row.error or "") + _ROW_CHARACTERS
        known.characters += size
        _characters += size


def forget(run_id: str) -> None:
    """Drop a run that has ended."""
    global _characters
    with _lock:
        known = _runs.pop(run_id, None)
        if known is not None:
            _characters -= known.characters
