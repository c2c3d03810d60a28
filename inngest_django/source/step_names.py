"""The ids of steps as far as the source tells them."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Callable, Iterator

# What the source does not tell, between parts that it does.
_UNKNOWN = None


@dataclasses.dataclass(frozen=True, slots=True)
class StepName:
    """A step's id: texts, and None for each part that is known only when it runs."""

    parts: tuple[str | None, ...]

    def __str__(self) -> str:
        return "".join("{…}" if part is None else part for part in self.parts)

    @property
    def literal(self) -> str | None:
        """The id, when the source says it in full."""
        if any(part is None for part in self.parts):
            return None
        return "".join(part for part in self.parts if part is not None)

    @property
    def is_open(self) -> bool:
        """Whether the source says nothing at all about it."""
        return not any(self.parts)  # The empty literal, too: it says as little.

    def matches(self, name: str) -> bool:
        """Whether the id may be this one."""
        pattern = "".join(".*" if part is None else re.escape(part) for part in self.parts)
        return re.fullmatch(pattern, name, re.DOTALL) is not None


OPEN_NAME = StepName((_UNKNOWN,))


def read(node: ast.expr | None, constant: Callable[[ast.expr], object]) -> StepName:
    """Return the id that an expression makes.

    Args:
        constant: Returns the value of a name when it is a constant of the module.
    """
    if node is None:
        return OPEN_NAME
    merged: list[str | None] = []
    for part in _parts(node, constant):
        if merged and part is None and merged[-1] is None:
            continue
        if merged and part is not None and merged[-1] is not None:
            merged[-1] += part
        else:
            merged.append(part)
    return StepName(tuple(merged) or ("",))


def _parts(node: ast.expr, constant: Callable[[ast.expr], object]) -> Iterator[str | None]:
    if isinstance(node, ast.Constant):
        yield node.value if isinstance(node.value, str) else _UNKNOWN
    elif isinstance(node, ast.JoinedStr):
        for value in node.values:
            yield from _parts(value, constant)
    elif isinstance(node, ast.FormattedValue):
        known = constant(node.value) if node.format_spec is None else None
        yield known if isinstance(known, str) else _UNKNOWN
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _parts(node.left, constant)
        yield from _parts(node.right, constant)
    else:
        known = constant(node)
        yield known if isinstance(known, str) else _UNKNOWN
