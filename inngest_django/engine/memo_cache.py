"""Settled steps that this process has read before, so that an entry reads only newer ones.

Stored results never change, which is what makes them safe to keep. Without this a run of n
steps reads n²/2 results.
"""

from __future__ import annotations

import collections
import dataclasses
import threading
from typing import Any

from inngest_django.drivers.base import RACE_MODE, StepMemo
from inngest_django.engine.hot_path import (
    Leased,
    NewStep,
    StepRow,
    begin_and_load,
    begin_step,
    load_steps,
)
from inngest_django.serialization import loads
from inngest_django.states import STEP_OPEN, STEP_SETTLED, JobKind

MAX_RUNS = 256
MAX_CHARACTERS = 64 * 1024 * 1024
_ROW_CHARACTERS = 200  # What a step weighs besides its texts.
# Characters of a result up to which it is kept decoded. Decoded, a large value may weigh ten
# times its text.
_KEPT_DECODED = 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Steps:
    """The steps of a run.

    Attributes:
        memos: The settled ones by hashed id, in the order of their revisions.
        rest: The rows of all others, by id.
        open: Of these the hashed ids of those that are open.
    """

    memos: dict[str, StepMemo]
    rest: dict[int, StepRow]
    open: frozenset[str]


class _Known:
    __slots__ = ("characters", "large", "memos", "open", "rest", "revision")

    def __init__(self) -> None:
        # In the order of revisions, which is the order in which they are added.
        self.memos: dict[str, StepMemo] = {}
        # Of the memos those without a value, which is decoded for each call.
        self.large: dict[str, str] = {}
        # Of a group without a race: none is added to it while one of its steps is open.
        self.rest: dict[int, StepRow] = {}
        self.open: frozenset[str] = frozenset()
        self.revision = 0
        self.characters = 0

    def add(self, step: StepRow | NewStep, revision: int) -> int:
        """Keep a settled step; returns how many characters it weighs."""
        is_large = len(step.output or "") > _KEPT_DECODED
        if is_large:
            self.large[step.hashed_id] = step.output or ""
        self.memos[step.hashed_id] = _memo(step, revision, output=None if is_large else step.output)
        self.revision = max(self.revision, revision)
        size = len(step.output or "") + len(step.error or "") + _ROW_CHARACTERS
        self.characters += size
        return size

    def current(self) -> dict[str, StepMemo]:
        """Return the memos, complete, in a dictionary that later ones do not reach."""
        memos = self.memos.copy()
        for hashed_id, text in self.large.items():
            memos[hashed_id] = dataclasses.replace(memos[hashed_id], value=loads(text))
        return memos


_runs: collections.OrderedDict[str, _Known] = collections.OrderedDict()
_lock = threading.Lock()
_characters = 0


def steps_of(leased: Leased) -> Steps:
    """Return all steps of a leased job's run, settled ones from memory where possible.

    The step that the job is there for begins with that.
    """
    global _characters
    with _lock:
        known = _runs.pop(leased.run_id, None) or _Known()
        _characters -= known.characters
    if leased.kind is JobKind.STEP and leased.step_id in known.rest:
        # What the step needs was settled when it was planned: its siblings' results are read
        # by the entry that follows the group.
        rest, open_ = known.rest, known.open
        if not leased.has_begun_step:
            begin_step(leased.step_id, leased.job_id, leased.token)
    else:
        rows = _catch_up(known, leased)
        rest = {row.id: row for row in rows}
        open_ = frozenset(row.hashed_id for row in rows if row.status in STEP_OPEN)
        is_race = any(row.mode == RACE_MODE for row in rows)
        known.rest, known.open = ({}, frozenset()) if is_race else (rest, open_)
    steps = Steps(known.current(), rest, open_)
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
    return steps


def _catch_up(known: _Known, leased: Leased) -> list[StepRow]:
    """Read what was settled since; returns the rows of the steps that are open."""
    if leased.kind is JobKind.STEP and not leased.has_begun_step:
        loaded = begin_and_load(leased, after=known.revision)
    elif known.revision == leased.revision and not leased.has_open_pieces:
        # Nothing settled since, and nothing open: there is nothing to read.
        loaded = []
    else:
        loaded = load_steps(leased.run_id, after=known.revision, has_open=leased.has_open_pieces)
    rest = []
    loaded.sort(key=lambda row: row.revision or 0)
    for row in loaded:
        if row.status in STEP_SETTLED and row.revision is not None:
            known.add(row, row.revision)
        else:
            rest.append(row)
    known.revision = max(known.revision, leased.revision)
    return rest


def add(run_id: str, step: NewStep, *, revision: int) -> None:
    """Keep a step that this process has just recorded, if it knew all the ones before it."""
    global _characters
    with _lock:
        known = _runs.get(run_id)
        if known is not None and known.revision == revision - 1:
            _characters += known.add(step, revision)


def forget(run_id: str) -> None:
    """Drop a run that has ended."""
    global _characters
    with _lock:
        known = _runs.pop(run_id, None)
        if known is not None:
            _characters -= known.characters


def _memo(step: StepRow | NewStep, revision: int, *, output: str | None) -> StepMemo:
    error: Any = None if step.error is None else loads(step.error)
    return StepMemo(
        hashed_id=step.hashed_id,
        op=step.op,
        value=None if output is None else loads(output),
        error=error,
        revision=revision,
    )
