"""Writes the results of ``.ci/run`` into a page: ``table.py PAGE COMMIT PARTS``.

PARTS holds a line for each part that has ended: name, verdict, seconds and the last line of
pytest, if it ran, with tabs between. The page is written anew after each part, so that one
that is broken off is told as well.
"""

from __future__ import annotations

import datetime as dt
import re
import sys
from pathlib import Path

BEGIN, END = "<!-- table -->", "<!-- end of table -->"
HEADINGS = ("part", "verdict", "passed", "failed", "time")


def cells(line: str) -> tuple[str, ...]:
    """Return the cells of a part."""
    name, verdict, seconds, told = line.rstrip("\n").split("\t")
    counts = {word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", told)}
    passed = failed = "-"
    if told:
        passed = str(counts.get("passed", 0))
        failed = str(sum(counts.get(word, 0) for word in ("failed", "error", "errors")))
    minutes, rest = divmod(int(seconds or 0), 60)
    return (name, verdict, passed, failed, f"{minutes} min {rest:02} s" if seconds else "-")


def table(commit: str, parts: list[str], today: dt.date) -> str:
    """Return the table, with its date and commit."""
    rows = [cells(line) for line in parts]
    total = sum(int(line.split("\t")[2] or 0) for line in parts)
    lines = [
        f"Run on {today} at commit `{commit}`: {len(rows)} parts in {round(total / 60)} minutes.",
        "",
        f"| {' | '.join(HEADINGS)} |",
        "|" + " --- |" * len(HEADINGS),
        *(f"| {' | '.join(row)} |" for row in rows),
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
    write(Path(page), table(commit, lines, dt.datetime.now(dt.UTC).date()))  # noqa: TID251
