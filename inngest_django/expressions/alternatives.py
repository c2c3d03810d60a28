"""What an arriving event must have for an expression to be true.

An *atom* is a condition that an index can answer: a path of the arriving event equals a
value, or is a list (or map) that holds it. An *alternative* is a set of atoms that all
hold; an expression that is true satisfies at least one of its alternatives. The reverse
need not be so: candidates are checked with the whole expression.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import cast

from inngest_django.expressions import encoding
from inngest_django.expressions.closures import Closure, closure_of
from inngest_django.expressions.errors import EvaluationFault, LimitFault
from inngest_django.expressions.evaluation import Evaluation
from inngest_django.expressions.functions import FUNCTIONS
from inngest_django.expressions.nodes import (
    Binary,
    Call,
    Literal,
    Logic,
    Node,
    Not,
    Path,
    Segment,
    walk,
)

MAX_ALTERNATIVES = 32

Atom = tuple[str, tuple[Segment, ...]]
Alternative = dict[Atom, bytes]


@dataclasses.dataclass(kw_only=True, slots=True)
class Planning:
    """One derivation of alternatives from one event.

    Every part is evaluated with a budget of its own: when the event arrives, ``&&`` and
    ``||`` may skip parts that together would exceed one.
    """

    event: object
    warnings: list[str] = dataclasses.field(default_factory=list)


Planner = Callable[[Planning], list[Alternative]]


def planner_of(node: Node, *, arriving: str) -> Planner:
    """Return the function that lists the alternatives of a validated expression.

    It returns ``[]`` when the expression can never be true, and a list holding ``{}``
    when any event may make it true.

    Args:
        arriving: The variable whose value is not known yet.
    """
    return _Builder(arriving).build(node, True)


def _anything(_: Planning) -> list[Alternative]:
    return [{}]


class _Builder:
    """Turns nodes into planners; ``wanted`` is the value the node must have.

    Carrying ``wanted`` down is negation normal form: ``!(a && b)`` is built as
    ``!a || !b``, and ``!(a != b)`` as ``a == b``.
    """

    def __init__(self, arriving: str) -> None:
        self.arriving = arriving

    def build(self, node: Node, wanted: bool) -> Planner:
        if self.is_known(node):
            return _constant(closure_of(node), wanted)
        if isinstance(node, Not):
            return self.build(node.operand, not wanted)
        if isinstance(node, Logic):
            parts = [self.build(operand, wanted) for operand in node.operands]
            return _all_of(parts) if (node.operator == "&&") is wanted else _any_of(parts)
        if isinstance(node, Binary):
            return self.build_comparison(node, wanted)
        if self.is_arriving(node):
            # Only true is true and only false is false; null and 0 are neither.
            return _equal(node, closure_of(Literal(value=wanted)), None)
        return _anything

    def build_comparison(self, node: Binary, wanted: bool) -> Planner:
        left, right = node.left, node.right
        if node.operator == ("==" if wanted else "!="):
            if self.is_known(left):
                left, right = right, left
            if self.is_arriving(left) and self.is_known(right):
                return _equal(left, closure_of(right), _name_of(right))
        elif node.operator == "in" and wanted:
            if self.is_arriving(left) and self.is_known(right):
                return _one_of(left, closure_of(right))
            if self.is_known(left) and self.is_arriving(right):
                return _holding(right, closure_of(left))
        return _anything

    def is_arriving(self, node: Node) -> bool:
        return isinstance(node, Path) and node.root == self.arriving

    def is_known(self, node: Node) -> bool:
        """Whether the value is the same now and when the event arrives."""
        return not any(self.is_arriving(part) or is_volatile(part) for part in walk(node))


def is_volatile(node: Node) -> bool:
    """Return whether this node itself reads the clock."""
    return isinstance(node, Call) and FUNCTIONS[node.name].is_volatile


def _known(run: Closure, derive: Callable[[object, Planning], list[Alternative]]) -> Planner:
    """Return the planner that derives alternatives from a known value."""

    def plan(planning: Planning) -> list[Alternative]:
        try:
            value = run(Evaluation(planning.event))
        except (EvaluationFault, LimitFault):
            return []  # it would fail in the same way when the event arrives
        except Exception:  # noqa: BLE001 - such as a full stack, which may be ours
            return [{}]
        return derive(value, planning)

    return plan


def _constant(run: Closure, wanted: bool) -> Planner:
    return _known(run, lambda value, _: [{}] if value is wanted else [])


def _equal(path: Node, run: Closure, source: str | None) -> Planner:
    atom: Atom = ("eq", _segments(path))

    def derive(value: object, planning: Planning) -> list[Alternative]:
        if value is None and source is not None:
            planning.warnings.append(
                f"{source} is missing or null in the run's event, so events without "
                f"{_name_of(path)} match."
            )
        return _looked_up(atom, value)

    return _known(run, derive)


def _one_of(path: Node, run: Closure) -> Planner:
    atom: Atom = ("eq", _segments(path))

    def derive(value: object, _: Planning) -> list[Alternative]:
        if not isinstance(value, list | tuple | Mapping):
            return []
        found: list[Alternative] = []
        for element in value:
            alternatives = _looked_up(atom, element)
            found += (one for one in alternatives if one not in found)
            if {} in found or len(found) > MAX_ALTERNATIVES:
                return [{}]
        return found

    return _known(run, derive)


def _holding(path: Node, run: Closure) -> Planner:
    atom: Atom = ("elem", _segments(path))
    return _known(run, lambda value, _: _looked_up(atom, value))


def _looked_up(atom: Atom, value: object) -> list[Alternative]:
    key = encoding.indexable(value)
    return [{}] if key is None else [{atom: key}]


def _all_of(parts: list[Planner]) -> Planner:
    def plan(planning: Planning) -> list[Alternative]:
        result: list[Alternative] = [{}]
        for part in parts:
            found = part(planning)
            if len(result) * len(found) > MAX_ALTERNATIVES:
                continue  # one condition fewer only adds candidates
            joined = (_joined(a, b) for a, b in itertools.product(result, found))
            result = [alternative for alternative in joined if alternative is not None]
            if not result:
                return []
        return result

    return plan


def _any_of(parts: list[Planner]) -> Planner:
    def plan(planning: Planning) -> list[Alternative]:
        result: list[Alternative] = []
        for part in parts:
            result += (found for found in part(planning) if found not in result)
            if {} in result or len(result) > MAX_ALTERNATIVES:
                return [{}]
        return result

    return plan


def _joined(left: Alternative, right: Alternative) -> Alternative | None:
    """Return both together, or None if one path would have to equal two values."""
    joined = dict(left)
    for atom, key in right.items():
        if joined.setdefault(atom, key) != key and atom[0] == "eq":
            return None
    return joined


def _segments(node: Node) -> tuple[Segment, ...]:
    return cast("Path", node).segments


def _name_of(node: Node) -> str | None:
    if isinstance(node, Literal):
        return None
    if not isinstance(node, Path):
        return "The compared value"
    steps: Iterable[str] = (
        f".{step}" if isinstance(step, str) and step.isidentifier() else f"[{step!r}]"
        for step in node.segments
    )
    return node.root + "".join(steps)
