"""Parts of the reference that are made from the code.

Such a part stands in its page between ``<!-- made: NAME -->`` and ``<!-- end -->``; what is
around it is written by hand. ``python -m tests.docs.made`` makes all of them anew, and a test
fails when one is not what the code says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_PART = re.compile(r"(<!-- made: ([^>]+?) -->\n)(.*?)(?=<!-- end -->)", re.DOTALL)


def parts(text: str) -> dict[str, str]:
    """Return the made parts of a page, by name."""
    return {match[2]: match[3] for match in _PART.finditer(text)}


def renewed(text: str, made: Mapping[str, Callable[[], str]]) -> str:
    """Return the text of a page with its parts made anew."""
    return _PART.sub(lambda match: f"{match[1]}\n{made[match[2]]().strip()}\n\n", text)


def framed(name: str) -> str:
    """Return the marks of a part that is still to be made."""
    return f"<!-- made: {name} -->\n<!-- end -->\n"


def table(titles: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [titles, ["---"] * len(titles), *([_cell(c) for c in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
