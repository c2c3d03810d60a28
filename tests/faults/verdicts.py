"""The table of faults that a session ends with: what struck, how often, and the verdict.

A test says which row of the matrix it is about with ``@pytest.mark.matrix(row, fault)``; what
the arena saw while it ran is added up. ``INNGEST_TEST_FAULTS_TABLE`` names a Markdown file,
such as ``docs/reference/faults.md``, whose part between the comments of this profile is
replaced by the table.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests import profiles

TABLE = "INNGEST_TEST_FAULTS_TABLE"
BEGIN, END = "<!-- table of {} -->", "<!-- end of {} -->"
HEADINGS = ("row", "fault", "tests", "faults", "runs", "bodies again", "worst recovery", "verdict")


@dataclasses.dataclass(slots=True)
class Line:
    """What became of one fault."""

    row: int
    fault: str
    tests: int = 0
    faults: int = 0
    runs: int = 0
    extra_calls: int = 0
    worst: float | None = None
    failed: list[str] = dataclasses.field(default_factory=list)

    def cells(self) -> tuple[str, ...]:
        """Return the cells of a table."""
        worst = "-" if self.worst is None else f"{self.worst:.1f} s"
        verdict = "holds" if not self.failed else f"BROKEN: {', '.join(self.failed)}"
        numbers = (self.tests, self.faults, self.runs, self.extra_calls)
        return (f"{self.row}", self.fault, *map(str, numbers), worst, verdict)


_lines: dict[tuple[int, str], Line] = {}
_now: list[Line] = []


def begin(row: int, fault: str) -> None:
    """A test about this row begins; what is noted next belongs to it."""
    _now[:] = [_lines.setdefault((row, fault), Line(row, fault))]
    _now[0].tests += 1


def note(
    *, faults: int = 0, runs: int = 0, extra_calls: int = 0, recoveries: Iterable[float] = ()
) -> None:
    """Add what was seen to the row of the test that runs."""
    for line in _now:
        line.faults += faults
        line.runs += runs
        line.extra_calls += extra_calls
        for seconds in recoveries:
            line.worst = max(line.worst or 0.0, seconds)


def end(test: str, *, failed: bool) -> None:
    """The test is over."""
    for line in _now:
        if failed:
            line.failed.append(test)
    _now.clear()


def rows() -> list[tuple[str, ...]]:
    """Return the table's lines, by row and fault."""
    return [_lines[key].cells() for key in sorted(_lines)]


def as_text() -> list[str]:
    """Return the table for a terminal."""
    table = [HEADINGS, *rows()]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEADINGS))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]


def as_markdown() -> str:
    """Return the table for a page, with its date and commit."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    day = dt.datetime.now(dt.UTC).date()
    lines = [f"Measured on {day} at commit `{commit or 'unknown'}`.", ""]
    lines += [f"| {' | '.join(HEADINGS)} |", "|" + " --- |" * len(HEADINGS)]
    lines += [f"| {' | '.join(cells)} |" for cells in rows()]
    return "\n".join(lines)


def write(path: Path) -> None:
    """Replace the table of a page.

    Raises:
        ValueError: The page has no place for it.
    """
    begin_mark, end_mark = (mark.format(profiles.current().name) for mark in (BEGIN, END))
    before, found, rest = path.read_text().partition(begin_mark)
    _, found_too, after = rest.partition(end_mark)
    if not found or not found_too:
        raise ValueError(f"{path} has no {begin_mark} and {end_mark} to put the table between")
    path.write_text(f"{before}{begin_mark}\n{as_markdown()}\n{end_mark}{after}")


def finish() -> list[str]:
    """Write the page that was asked for; returns the lines for the terminal."""
    if not _lines:
        return []
    if path := os.environ.get(TABLE):
        write(Path(path))
    return as_text()
