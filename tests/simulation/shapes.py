"""What a statement looks like without its values: how two of a kind are known as one.

A worker can be lost before and after each statement of each schedule. What is struck in a
session are some of them, one of each shape at least.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# A side of a statement, a commit or a named point, and which one it is.
Edge = tuple[str, str]

_MOMENT = re.compile(r"'\d{4}-\d\d-\d\d[^']*'")
_LIST = re.compile(r"\b(IN|VALUES) \([^()]*%s[^()]*\)(?:, \([^()]*%s[^()]*\))*")


def shape(statement: str) -> str:
    """Return a statement without moments, and with lists of one length."""
    return _LIST.sub(r"\1 (...)", _MOMENT.sub("'now'", " ".join(statement.split())))


def shapes(edges: Iterable[Edge]) -> set[Edge]:
    """Return the edges with the shapes of their statements."""
    return {(side, shape(at)) for side, at in set(edges)}


def first_of_each(edges: list[Edge], struck: set[Edge]) -> list[int]:
    """Return the numbers of the first edges of each shape that is not struck yet."""
    known, found = set(struck), []
    for number, (side, at) in enumerate(edges, 1):
        edge = (side, shape(at))
        if edge not in known:
            known.add(edge)
            found.append(number)
    return found
