"""Which places of a function can be come to in one run of it, and which exclude each other."""

from __future__ import annotations

import ast
import dataclasses
import enum
from collections.abc import Mapping


class End(enum.Enum):
    """How a block of statements ends, when it does not go on behind."""

    RETURN = enum.auto()
    RAISE = enum.auto()  # May be caught further out.
    LOOP = enum.auto()  # Goes on behind the loop, or in its next round.

    @classmethod
    def of(cls, node: ast.stmt) -> End | None:
        """Return how a simple statement ends its block, or None."""
        if isinstance(node, ast.Return):
            return cls.RETURN
        if isinstance(node, ast.Raise):
            return cls.RAISE
        return cls.LOOP if isinstance(node, ast.Break | ast.Continue) else None


# Branches with the arms of each that lead to a place.
Arms = tuple[tuple[ast.AST, frozenset[int]], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Exclusion:
    """Behind a branch some of whose arms end: the arms that are left.

    Attributes:
        end: The way in which the others end that holds the least far.
    """

    end: End
    branch: ast.AST
    left: frozenset[int]


def join(branch: ast.AST, ends: Mapping[int, End | None]) -> tuple[list[Exclusion], End | None]:
    """Return what the ends of a branch's arms mean for the code behind it."""
    ended = [end for end in ends.values() if end is not None]
    if not ended:
        return [], None
    weakest = max(ended, key=lambda end: end.value)
    left = frozenset(arm for arm, end in ends.items() if end is None)
    if not left:
        return [], weakest
    return [Exclusion(weakest, branch, left)], None


def merged(arms: Arms, entry: tuple[ast.AST, frozenset[int]]) -> Arms:
    """Return the arms with one more condition."""
    branch, allowed = entry
    known = dict(arms)
    known[branch] = known.get(branch, allowed) & allowed
    return tuple(known.items())


def exclude_each_other(one: Arms, other: Arms) -> bool:
    """Whether no run comes to both places."""
    known = dict(one)
    return any(branch in known and not known[branch] & allowed for branch, allowed in other)
