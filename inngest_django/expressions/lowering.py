"""Parse tree to intermediate form.

The grammar wraps every operand in ten rules of one child each; they say nothing and
vanish here. Nothing in this file looks at the text of an expression.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from inngest_django.expressions import literals
from inngest_django.expressions.errors import (
    ErrorKind,
    EvaluationFault,
    ExpressionError,
)
from inngest_django.expressions.nodes import (
    Binary,
    Call,
    Condition,
    Has,
    Index,
    ListOf,
    Literal,
    Logic,
    Macro,
    MapOf,
    Negative,
    Node,
    Not,
    Path,
    Place,
    Segment,
    Select,
)
from inngest_django.expressions.values import TYPE_NAMES

if TYPE_CHECKING:
    from lark import Token, Tree

    Branch = Tree[Token]

MAX_DEPTH = 24
MAX_NODES = 400
MACROS = frozenset({"exists", "all", "exists_one", "filter", "map"})

_LOGIC = {"conditionalor": "||", "conditionaland": "&&"}
_BINARY = {
    "relation_lt": "<",
    "relation_le": "<=",
    "relation_gt": ">",
    "relation_ge": ">=",
    "relation_eq": "==",
    "relation_ne": "!=",
    "relation_in": "in",
    "addition_add": "+",
    "addition_sub": "-",
    "multiplication_mul": "*",
    "multiplication_div": "/",
    "multiplication_mod": "%",
}
_WRAPPERS = frozenset(
    {
        "expr",
        "conditionalor",
        "conditionaland",
        "relation",
        "addition",
        "multiplication",
        "unary",
        "member",
        "primary",
        "paren_expr",
    }
)


def lower(tree: Branch, *, source: str) -> Node:
    """Return the intermediate form of a parse tree.

    Raises:
        ExpressionError: Kind ``invalid`` for what the dialect leaves out, ``limit`` for
            more than 400 nodes or 24 levels.
    """
    return _Lowering(source).node(tree, 1)


class _Lowering:
    """One pass over one tree; counts nodes and levels."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.nodes = 0

    def node(self, tree: Branch, depth: int) -> Node:
        tree = _unwrapped(tree)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self.fail(tree, f"it has more than {MAX_NODES} parts. Split it.", "limit")
        if depth > MAX_DEPTH:
            self.fail(tree, f"it nests over {MAX_DEPTH} levels. Split it.", "limit")
        return _RULES[str(tree.data)](self, tree, depth)

    def literal(self, tree: Branch, _: int) -> Node:
        token = _token(tree, 0)
        try:
            value = literals.value_of(token.type, str(token))
        except EvaluationFault as fault:
            self.fail(tree, str(fault))
        return Literal(value=value, at=_place(tree))

    def identifier(self, tree: Branch, _: int) -> Node:
        name = str(_token(tree, 0))
        if name in TYPE_NAMES:
            return Literal(value=TYPE_NAMES[name], at=_place(tree))
        return Path(root=name, at=_place(tree))

    def steps(self, tree: Branch, depth: int) -> Node:
        # A loop, because a path of a thousand steps is harmless but a recursion is not.
        segments: list[Segment] = []
        while True:
            if tree.data == "member_dot":
                segments.append(str(_token(tree, 1)))
            elif tree.data == "member_index":
                index = self.node(_branches(tree)[1], depth + 1)
                segment = _constant_segment(index)
                if segment is None:
                    target = self.node(_branches(tree)[0], depth + 1)
                    computed = Index(target=target, index=index, at=_place(tree))
                    return _stepped(computed, segments)
                segments.append(segment)
            else:
                return _stepped(self.node(tree, depth + 1), segments)
            tree = _unwrapped(_branches(tree)[0])

    def logic(self, tree: Branch, depth: int) -> Node:
        rule, place = str(tree.data), _place(tree)
        operands: list[Node] = []
        while tree.data == rule and len(tree.children) > 1:
            left, right = _branches(tree)
            operands.append(self.node(right, depth + 1))
            tree = _unwrapped(left)
        operands.append(self.node(tree, depth + 1))
        return Logic(operator=_LOGIC[rule], operands=tuple(reversed(operands)), at=place)

    def binary(self, tree: Branch, depth: int) -> Node:
        operation, right = _branches(tree)
        return Binary(
            operator=_BINARY[str(operation.data)],
            left=self.node(_branches(operation)[0], depth + 1),
            right=self.node(right, depth + 1),
            at=_place(tree),
        )

    def unary(self, tree: Branch, depth: int) -> Node:
        sign, rest = _branches(tree)
        operand = self.node(rest, depth + 1)
        if sign.data == "unary_not":
            return Not(operand=operand, at=_place(tree))
        if isinstance(operand, Literal) and type(operand.value) in (int, float):
            return Literal(value=-operand.value, at=_place(tree))  # type: ignore[operator]  # a number, as just checked
        return Negative(operand=operand, at=_place(tree))

    def condition(self, tree: Branch, depth: int) -> Node:
        test, then, otherwise = (self.node(child, depth + 1) for child in _branches(tree))
        return Condition(test=test, then=then, otherwise=otherwise, at=_place(tree))

    def list_literal(self, tree: Branch, depth: int) -> Node:
        return ListOf(items=self.arguments(tree, 0, depth), at=_place(tree))

    def map_literal(self, tree: Branch, depth: int) -> Node:
        return MapOf(entries=self.arguments(tree, 0, depth), at=_place(tree))

    def message(self, tree: Branch, _: int) -> NoReturn:
        self.fail(tree, 'messages are not supported. Use a map: {"a": 1}.')

    def leading_dot(self, tree: Branch, _: int) -> NoReturn:
        self.fail(tree, "a name cannot begin with a dot. Remove it.")

    def function(self, tree: Branch, depth: int) -> Node:
        name, at = str(_token(tree, 0)), _place(tree)
        arguments = self.arguments(tree, 1, depth)
        if name != "has":
            return Call(name=name, arguments=arguments, is_method=False, at=at)
        operand = arguments[0] if len(arguments) == 1 else None
        if not isinstance(operand, Path | Select) or not _ends_in_field(operand):
            self.fail(tree, "has() takes one field, such as has(event.data.total).")
        return Has(operand=operand, at=at)

    def method(self, tree: Branch, depth: int) -> Node:
        name, at = str(_token(tree, 1)), _place(tree)
        target = self.node(_branches(tree)[0], depth + 1)
        arguments = self.arguments(tree, 2, depth)
        if name not in MACROS:
            return Call(name=name, arguments=(target, *arguments), is_method=True, at=at)
        variable = arguments[0] if len(arguments) == 2 else None
        if not isinstance(variable, Path) or variable.segments:
            self.fail(
                tree,
                f"{name}() takes a variable and an expression, "
                f"such as event.data.items.{name}(i, i.total > 1).",
            )
        return Macro(name=name, target=target, variable=variable.root, body=arguments[1], at=at)

    def arguments(self, tree: Branch, position: int, depth: int) -> tuple[Node, ...]:
        if len(tree.children) <= position:
            return ()
        listed = _branches(tree)[position]
        return tuple(self.node(child, depth + 1) for child in _branches(listed))

    def fail(self, tree: Branch, problem: str, kind: ErrorKind = "invalid") -> NoReturn:
        line, column = _place(tree)
        raise ExpressionError(problem, kind=kind, source=self.source, line=line, column=column)


def _unwrapped(tree: Branch) -> Branch:
    while len(tree.children) == 1 and tree.data in _WRAPPERS:
        tree = _branches(tree)[0]
    return tree


def _branches(tree: Branch) -> list[Branch]:
    # The grammar fixes which children are rules and which are tokens.
    return tree.children  # type: ignore[return-value]  # callers know which are rules


def _token(tree: Branch, position: int) -> Token:
    return tree.children[position]  # type: ignore[return-value]  # callers know it is


def _place(tree: Branch) -> Place:
    # None where it begins with true or false: cel-python drops their place.
    return tree.meta.line, tree.meta.column


def _ends_in_field(node: Path | Select) -> bool:
    return bool(node.segments) and isinstance(node.segments[-1], str)


def _constant_segment(index: Node) -> Segment | None:
    value = index.value if isinstance(index, Literal) else None
    if isinstance(value, str) or type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def _stepped(base: Node, reversed_segments: list[Segment]) -> Node:
    segments = tuple(reversed(reversed_segments))
    if not segments:
        return base
    if isinstance(base, Path):
        return Path(root=base.root, segments=base.segments + segments, at=base.at)
    return Select(target=base, segments=segments, at=base.at)


_RULES: dict[str, Callable[[_Lowering, Branch, int], Node]] = {
    "literal": _Lowering.literal,
    "ident": _Lowering.identifier,
    "member_dot": _Lowering.steps,
    "member_index": _Lowering.steps,
    "conditionalor": _Lowering.logic,
    "conditionaland": _Lowering.logic,
    "relation": _Lowering.binary,
    "addition": _Lowering.binary,
    "multiplication": _Lowering.binary,
    "unary": _Lowering.unary,
    "expr": _Lowering.condition,
    "ident_arg": _Lowering.function,
    "member_dot_arg": _Lowering.method,
    "list_lit": _Lowering.list_literal,
    "map_lit": _Lowering.map_literal,
    "member_object": _Lowering.message,
    "dot_ident": _Lowering.leading_dot,
    "dot_ident_arg": _Lowering.leading_dot,
}
