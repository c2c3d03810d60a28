"""Draws the diagrams of statuses from the code's own tables.

``python -m tests.docs.diagram`` writes them into the page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from inngest_django.states import RUN_TRANSITIONS, STEP_TRANSITIONS
from tests.docs.pages import page

PAGE = page("reference/states.md")
TABLES: Mapping[str, Mapping[str, frozenset[str]]] = {
    "RUN_TRANSITIONS": RUN_TRANSITIONS,
    "STEP_TRANSITIONS": STEP_TRANSITIONS,
}
_DRAWN = re.compile(r"(<!-- made from (\w+) -->\n```mermaid\n)(.*?)(?=```)", re.DOTALL)


def diagram(table: Mapping[str, frozenset[str]]) -> str:
    """Return the mermaid text of a table of transitions."""
    targets = {to for following in table.values() for to in following}
    lines = ["stateDiagram-v2"]
    lines += [f"    [*] --> {status}" for status in table if status not in targets]
    lines += [f"    {status} --> {to}" for status in table for to in table if to in table[status]]
    lines += [f"    {status} --> [*]" for status, following in table.items() if not following]
    return "\n".join(lines) + "\n"


def drawn(text: str) -> dict[str, str]:
    """Return the diagrams of a page by the table that they are made from."""
    return {match[2]: match[3] for match in _DRAWN.finditer(text)}


def redrawn(text: str) -> str:
    """Return the text of a page with its diagrams made anew."""
    return _DRAWN.sub(lambda match: match[1] + diagram(TABLES[match[2]]), text)


if __name__ == "__main__":
    PAGE.path.write_text(redrawn(PAGE.text), encoding="utf-8")
