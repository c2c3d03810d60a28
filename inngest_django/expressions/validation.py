"""What an expression may say: names, functions, macros, and where.

There is no type checker in front of the evaluator, so a misspelt name would be found
only when an event arrives, and then as a condition that never matches.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal as OneOf
from typing import NoReturn

from inngest_django.expressions import functions, times
from inngest_django.expressions.errors import (
    ErrorKind,
    EvaluationFault,
    ExpressionError,
    LimitFault,
)
from inngest_django.expressions.functions import FUNCTIONS
from inngest_django.expressions.lowering import MACROS
from inngest_django.expressions.nodes import Call, Literal, Macro, MapOf, Node, Path
from inngest_django.expressions.values import TYPE_NAMES

ExpressionKind = OneOf["filter", "wait", "key", "priority"]

EVENT = "event"
ARRIVING = "async"

_USES = {
    "filter": "a trigger filter",
    "wait": "a wait",
    "key": "a key",
    "priority": "a priority",
}
_DURATIONS = frozenset({"duration", "now_plus", "now_minus"})
_RESERVED = frozenset(
    {
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "package",
        "namespace",
        "null",
        "return",
        "true",
        "var",
        "void",
        "while",
    }
)


def validate(node: Node, *, source: str, kind: ExpressionKind) -> None:
    """Check every name, function and macro of an expression.

    Raises:
        ExpressionError: Kind ``invalid`` or ``limit``, with the place and the remedy.
    """
    _Validation(source, kind).check(node, None)


class _Validation:
    """One pass over one expression."""

    def __init__(self, source: str, kind: ExpressionKind) -> None:
        self.source = source
        self.kind: ExpressionKind = kind

    def check(self, node: Node, variable: str | None) -> None:
        if isinstance(node, Path):
            self.check_name(node, variable)
        elif isinstance(node, Call):
            self.check_call(node)
        elif isinstance(node, MapOf):
            self.check_keys(node)
        elif isinstance(node, Macro):
            self.check_macro(node, variable)
            self.check(node.target, variable)
            self.check(node.body, node.variable)
            return
        for child in node.children():
            self.check(child, variable)

    def check_name(self, node: Path, variable: str | None) -> None:
        if node.root in (EVENT, variable):
            return
        if node.root == ARRIVING:
            if self.kind == "wait":
                return
            self.fail(
                node,
                f'"async" is the arriving event of a wait or a cancel rule; '
                f'{_USES[self.kind]} has only "event".',
            )
        known = [EVENT, ARRIVING] if self.kind == "wait" else [EVENT]
        self.fail(
            node,
            f'unknown name "{node.root}".{_suggestion(node.root, known)} '
            f"Fields begin with event, such as event.data.total.",
        )

    def check_call(self, node: Call) -> None:
        name, given = node.name, len(node.arguments)
        function = FUNCTIONS.get(name)
        if function is None:
            if name in MACROS:
                self.fail(
                    node,
                    f"{name}() is called on a list, such as "
                    f"event.data.items.{name}(i, i.total > 1).",
                )
            hint = _suggestion(name, [*FUNCTIONS, *MACROS, "has"])
            self.fail(node, f"unknown function {name}().{hint}")
        if node.is_method and not function.as_method:
            self.fail(node, f"{name}() is not called on a value. Write {name}(value).")
        if not node.is_method and not function.as_function:
            self.fail(node, f"{name}() is called on a value. Write value.{name}(...).")
        if given != function.arity:
            offset = 1 if node.is_method else 0
            self.fail(
                node,
                f"{name}() takes {function.arity - offset} argument(s), got {given - offset}.",
            )
        if function.is_volatile and self.kind == "key":
            self.fail(
                node,
                f"{name}() changes with time, so that one event would have many keys. "
                "Use a field of the event.",
            )
        self.check_constants(node)

    def check_constants(self, node: Call) -> None:
        """Find now what would otherwise fail on every event."""
        last = node.arguments[-1] if node.arguments else None
        if not isinstance(last, Literal) or not isinstance(last.value, str):
            return
        try:
            if node.name == "matches":
                functions.pattern(last.value)
            elif node.name in _DURATIONS:
                times.duration(last.value)
            elif node.name == "timestamp":
                times.timestamp(last.value)
        except EvaluationFault as fault:
            self.fail(node, str(fault))
        except LimitFault as fault:
            self.fail(node, str(fault), "limit")

    def check_keys(self, node: MapOf) -> None:
        for key in node.entries[::2]:
            if isinstance(key, Literal) and not isinstance(key.value, str):
                self.fail(key, "keys of a map are strings, as in JSON.")

    def check_macro(self, node: Macro, variable: str | None) -> None:
        if variable is not None:
            self.fail(
                node,
                f"{node.name}() is used inside another macro, which can take minutes. "
                "Test one list at a time, joined with && or ||.",
            )
        name = node.variable
        if name in (EVENT, ARRIVING) or name in _RESERVED or name in TYPE_NAMES:
            self.fail(node, f'"{name}" cannot name a variable. Choose another name.')

    def fail(self, node: Node, problem: str, kind: ErrorKind = "invalid") -> NoReturn:
        line, column = node.at
        raise ExpressionError(problem, kind=kind, source=self.source, line=line, column=column)


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]}?" if close else ""
