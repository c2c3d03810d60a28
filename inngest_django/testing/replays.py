"""Replays a recorded run against today's code, and shows where its path differs."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.utils import timezone

from inngest_django.drivers.base import Raised
from inngest_django.drivers.recordings import Recording
from inngest_django.drivers.rehearsal import KnownStep, MetStep, Rehearsal, rehearse
from inngest_django.engine import ingest, transactions
from inngest_django.functions import registry
from inngest_django.functions.function import Function
from inngest_django.ids import new_ulid
from inngest_django.states import RUN_LIVE, RunStatus

_TITLES = ("step", "then", "now", "")
# These ended wherever they stood, so that the code may well go on behind it.
_UNFINISHED = RUN_LIVE | {RunStatus.CANCELLED, RunStatus.SKIPPED}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ReplayedStep:
    """A step of the recording, of today's code, or of both.

    Attributes:
        name: Its id as written.
        index: 0 for the first use of the id.
        then, now: Its op in the recording and in today's code, or None.
        verdict: ``met``, ``new``, ``next``, ``not met``, ``not reached`` or ``other kind``.
    """

    name: str
    index: int
    then: str | None
    now: str | None
    verdict: str

    def __str__(self) -> str:
        return f"{self.name}:{self.index}" if self.index else self.name

    @property
    def differs(self) -> bool:
        """Whether today's code does here what the run did not do, or the other way round."""
        return self.verdict in ("new", "not met", "other kind")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """What came of a replay.

    Attributes:
        steps: In the order in which today's code meets them, then those that it does not.
        ended_then: How the run ended.
        ended_now: How today's code ends with its results.
        sent: Names of events that code between steps tried to send; none was sent.
    """

    recording: Recording
    steps: tuple[ReplayedStep, ...]
    ended_then: str
    ended_now: str
    sent: tuple[str, ...]

    @property
    def differences(self) -> list[str]:
        """A sentence for each place where the paths differ; empty when they are the same."""
        found = [_sentence(step) for step in self.steps if step.differs]
        if not found and self.ended_now != self.ended_then:
            found = [f"It ended {self.ended_then}; today's code: {self.ended_now}."]
        return found

    @property
    def table(self) -> str:
        """Both paths side by side, as text."""
        rows = [(str(step), step.then or "-", step.now or "-", step.verdict) for step in self.steps]
        rows.append(("(end)", self.ended_then, self.ended_now, ""))
        widths = [max(len(row[i]) for row in (_TITLES, *rows)) for i in range(3)]
        lines = [
            "  ".join((*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]))
            for row in ((_TITLES), *rows)
        ]
        marks = [" ", *("!" if step.differs else " " for step in self.steps)]
        marks.append("!" if self.ended_now != self.ended_then else " ")
        return "\n".join(f"{mark} {line}".rstrip() for mark, line in zip(marks, lines, strict=True))

    def assert_same_path(self) -> None:
        """Fail unless today's code meets the steps of the run, and no others, and ends alike."""
        __tracebackhide__ = True
        if not self.differences:
            return
        run = self.recording
        lines = [f"run {run.run_id} of {run.function_id} takes another path today", ""]
        lines += [f"  {sentence}" for sentence in self.differences]
        lines += ["", self.table]
        if run.scrubbed:
            fields = ", ".join(run.scrubbed)
            lines += [
                "",
                f"note: these fields were scrubbed: {fields}. If the code decides by one of them,"
                " export the run again with --keep.",
            ]
        if self.sent:
            lines += ["", f"note: between steps it would have sent: {', '.join(self.sent)}."]
        raise AssertionError("\n".join(lines))


def replay(path: str | Path | Recording, function: Function | None = None) -> Replay:
    """Call today's code with the results of a recorded run.

    No body runs and nothing is stored: what code between steps writes to databases is rolled
    back, and what it sends is not sent. Needs no database.

    Args:
        path: What ``manage.py inngest_export`` wrote.
        function: The one of the code; found by the recorded id unless given.

    Raises:
        RecordingError: The file cannot be read, or is no recording.
        AssertionError: No function of that id is registered.
    """
    recording = path if isinstance(path, Recording) else Recording.read(path)
    found = function or registry.get(recording.function_id)
    if found is None:
        raise AssertionError(
            f"No function {recording.function_id} is registered. It was renamed or removed, or"
            " stands in no functions.py of an installed app: give it as function=."
        )
    with transactions.all_rolled_back(), _nothing_sent() as sent:
        rehearsal = rehearse(
            found,
            run_id=recording.run_id,
            events=recording.events,
            steps=recording.steps,
            time_zone=timezone.get_default_timezone(),
        )
    return Replay(
        recording=recording,
        steps=tuple(_steps(recording, rehearsal)),
        ended_then=_ended_then(recording),
        ended_now=_ended_now(recording, rehearsal),
        sent=(*rehearsal.sent, *sent),
    )


def assert_same_path(path: str | Path | Recording, function: Function | None = None) -> Replay:
    """Replay a recorded run, and fail unless today's code takes the same path.

    The order of steps is not compared: results are found by their steps' ids.
    """
    __tracebackhide__ = True
    replayed = replay(path, function)
    replayed.assert_same_path()
    return replayed


@contextlib.contextmanager
def _nothing_sent() -> Iterator[list[str]]:
    """Keep events from being stored by threads of the code's own, which a rehearsal misses."""
    sent: list[str] = []
    accept = ingest.accept

    def refuse(events: Any) -> list[str]:
        sent.extend(event.name for event in events)
        return [new_ulid() for _ in events]

    ingest.accept = refuse  # type: ignore[assignment]
    try:
        yield sent
    finally:
        ingest.accept = accept


def _goes_on(recording: Recording, rehearsal: Rehearsal) -> bool:
    """Whether new steps are what comes next in a run that had not come to its end."""
    return recording.status in _UNFINISHED and not rehearsal.unmet


def _steps(recording: Recording, rehearsal: Rehearsal) -> Iterator[ReplayedStep]:
    fresh = "next" if _goes_on(recording, rehearsal) else "new"
    for met in rehearsal.met:
        yield _replayed(met.known, met, fresh)
    # What stands behind a new step cannot be reached without running that one.
    is_blocked = any(met.known is None for met in rehearsal.met)
    for known in rehearsal.unmet:
        yield _replayed(known, None, "not reached" if is_blocked else "not met")


def _replayed(known: KnownStep | None, met: MetStep | None, verdict: str) -> ReplayedStep:
    if known is not None and met is not None:
        verdict = "other kind" if met.is_other_kind else "met"
    one = met or known
    assert one is not None  # noqa: S101 - one of the two is given
    return ReplayedStep(
        name=one.name,
        index=one.index,
        then=None if known is None else str(known.op),
        now=None if met is None else str(met.op),
        verdict=verdict,
    )


def _sentence(step: ReplayedStep) -> str:
    if step.verdict == "new":
        return f'Step "{step}" ({step.now}) is new: the run did not have it.'
    if step.verdict == "not met":
        return f'Step "{step}" ({step.then}) is not met any more.'
    return f'Step "{step}" was a {step.then}, and is a {step.now} in the code.'


def _ended_then(recording: Recording) -> str:
    if recording.status == RunStatus.FAILED and recording.error is not None:
        return f"failed: {recording.error['name']}"
    return str(recording.status)


def _ended_now(recording: Recording, rehearsal: Rehearsal) -> str:
    if isinstance(rehearsal.response, Raised):
        return f"failed: {rehearsal.response.error['name']}"
    if rehearsal.is_over:
        return str(RunStatus.COMPLETED)
    if _goes_on(recording, rehearsal):
        return _ended_then(recording)  # Where it stood, it stands.
    return "goes on" if rehearsal.new else "waits"
