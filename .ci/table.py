"""Writes the results of ``.ci/run`` into a page: ``table.py PAGE COMMIT PARTS``.

PARTS holds a line for each part that has ended: name, verdict, seconds and the last line of
pytest, if it ran, with tabs between. The page is written after each part, so that a run
that is broken off is told as well; the rows of other parts stay as they were.
"""

from __future__ import annotations

import datetime as dt
import re
import sys
from pathlib import Path

BEGIN, END = "<!-- table -->", "<!-- end of table -->"
HEADINGS = ("part", "verdict", "passed", "failed", "time", "commit", "date")

Row = tuple[str, ...]


def cells(line: str) -> Row:
    """Return what a part's line says."""
    name, verdict, seconds, told = line.rstrip("\n").split("\t")
    counts = {word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", told)}
    passed = failed = "-"
    if told:
        passed = str(counts.get("passed", 0))
        failed = str(sum(counts.get(word, 0) for word in ("failed", "error", "errors")))
    minutes, rest = divmod(int(seconds or 0), 60)
    return (name, verdict, passed, failed, f"{minutes} min {rest:02} s" if seconds else "-")


def rows_of(page: str) -> dict[str, Row]:
    """Return the rows that a page has, by part."""
    found = page.partition(BEGIN)[2].partition(END)[0]
    rows = (
        tuple(cell.strip() for cell in line.strip("|").split("|")) for line in found.split("\n")
    )
    kept = (row for row in rows if len(row) == len(HEADINGS))
    return {row[0]: row for row in kept if row != HEADINGS and set(row[0]) != {"-"}}


def table(commit: str, parts: list[str], today: dt.date, before: dict[str, Row]) -> str:
    """Return the table: what is new with its commit and date, the rest as it was."""
    rows = before | {row[0]: (*row, f"`{commit}`", str(today)) for row in map(cells, parts)}
    lines = [
        f"| {' | '.join(HEADINGS)} |",
        "|" + " --- |" * len(HEADINGS),
        *(f"| {' | '.join(row)} |" for row in rows.values()),
    ]
    return "\n".join(lines)


def write(page: Path, text: str) -> None:
    """Replace what stands between the page's comments.

    Raises:
        ValueError: The page has no such place.
    """
    before, found, rest = page.read_text().partition(BEGIN)
    _, found_too, after = rest.partition(END)
    if not found or not found_too:
        raise ValueError(f"{page} has no {BEGIN} and {END} to put the table between")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    page, commit, parts = sys.argv[1:]
    lines = Path(parts).read_text().splitlines()
    today = dt.datetime.now(dt.UTC).date()  # noqa: TID251
    write(Path(page), table(commit, lines, today, rows_of(Path(page).read_text())))
