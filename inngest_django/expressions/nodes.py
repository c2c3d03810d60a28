"""The intermediate form: what an expression says, without how it was written.

A parse tree of a short expression takes 34 KB and ten levels per operand. These nodes
are what is kept; ``at`` is the line and column for error messages.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

Place = tuple[int | None, int | None]
Segment = str | int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A part of an expression."""

    inner: ClassVar[tuple[str, ...]] = ()

    at: Place = dataclasses.field(default=(1, 1), compare=False)

    def children(self) -> Iterator[Node]:
        """Yield the parts this one is made of."""
        for name in self.inner:
            part = getattr(self, name)
            if isinstance(part, tuple):
                yield from part
            else:
                yield part


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Literal(Node):
    """A constant: null, bool, int, float, text, or the name of a type."""

    value: object


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Path(Node):
    """A variable and constant steps into it; ``a.b[0]["c"]`` is one path."""

    root: str
    segments: tuple[Segment, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Select(Node):
    """Constant steps into a computed value."""

    inner = ("target",)

    target: Node
    segments: tuple[Segment, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Index(Node):
    """A computed step into a value."""

    inner = ("target", "index")

    target: Node
    index: Node


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Has(Node):
    """Whether the last step of the operand exists."""

    inner = ("operand",)

    operand: Path | Select


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Not(Node):
    """Logical negation."""

    inner = ("operand",)

    operand: Node


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Negative(Node):
    """Arithmetic negation."""

    inner = ("operand",)

    operand: Node


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Logic(Node):
    """``&&`` or ``||`` over two or more operands."""

    inner = ("operands",)

    operator: str
    operands: tuple[Node, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Binary(Node):
    """A comparison, ``in``, or arithmetic on two operands."""

    inner = ("left", "right")

    operator: str
    left: Node
    right: Node


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Condition(Node):
    """``test ? then : otherwise``."""

    inner = ("test", "then", "otherwise")

    test: Node
    then: Node
    otherwise: Node


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Call(Node):
    """A function; of a method call the target is the first argument."""

    inner = ("arguments",)

    name: str
    arguments: tuple[Node, ...]
    is_method: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Macro(Node):
    """``target.exists(variable, body)`` and its kin."""

    inner = ("target", "body")

    name: str
    target: Node
    variable: str
    body: Node


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ListOf(Node):
    """A list literal."""

    inner = ("items",)

    items: tuple[Node, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MapOf(Node):
    """A map literal; keys and values alternate."""

    inner = ("entries",)

    entries: tuple[Node, ...]


def walk(node: Node) -> Iterator[Node]:
    """Yield the node and everything below it."""
    yield node
    for child in node.children():
        yield from walk(child)
