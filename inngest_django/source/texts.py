"""The text of a function: its syntax tree, its place, and the comments that silence checks."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import linecache
import re
import types
from collections.abc import Iterator
from typing import Any

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_ALLOW = re.compile(r"#\s*inngest:\s*allow\s+([EW]\d{3}(?:[\s,]+[EW]\d{3})*)")


class SourceFile:
    """One parsed file."""

    def __init__(self, path: str, lines: list[str]) -> None:
        self.path = path
        self.tree = ast.parse("".join(lines))
        self._nodes: dict[tuple[int, str], list[FunctionNode]] = {}
        for node in _functions(self.tree):
            name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
            self._nodes.setdefault((first_line(node), name), []).append(node)
        self._allowed = {
            number: frozenset(re.findall(r"[EW]\d{3}", found[1]))
            for number, line in enumerate(lines, start=1)
            if (found := _ALLOW.search(line))
        }

    def node_of(self, code: types.CodeType) -> FunctionNode | None:
        """Return the function that a code object was made of, when it can only be that one."""
        found = self._nodes.get((code.co_firstlineno, code.co_name), [])
        return found[0] if len(found) == 1 else None

    def is_allowed(self, check: str, first: int, last: int) -> bool:
        """Whether a comment in these lines silences a check, such as ``"W010"``."""
        return any(check in self._allowed.get(line, ()) for line in range(first, last + 1))


@dataclasses.dataclass(frozen=True, slots=True)
class Text:
    """A function with its source.

    Attributes:
        function: The plain function, below decorators that use ``functools.wraps``.
        given: How many of its parameters have a value before the context comes.
    """

    file: SourceFile
    node: FunctionNode
    function: types.FunctionType
    given: int

    @property
    def head(self) -> tuple[int, int]:
        """The first line, of a decorator too, and the last one before the body."""
        body = self.node.body
        last = body.lineno if isinstance(body, ast.expr) else body[0].lineno - 1
        return first_line(self.node), max(last, first_line(self.node))


class Library:
    """The files read so far."""

    def __init__(self) -> None:
        self._files: dict[str, SourceFile | None] = {}

    def text_of(self, handler: Any) -> Text | None:
        """Return the text of a callable; None when there is no source that surely is its own."""
        function = plain_function(handler)
        if function is None:
            return None
        file = self._file(function)
        node = None if file is None else file.node_of(function.__code__)
        if file is None or node is None:
            return None
        return Text(file, node, function, _given(handler))

    def _file(self, function: types.FunctionType) -> SourceFile | None:
        path = function.__code__.co_filename
        if path not in self._files:
            self._files[path] = _read(path, function.__globals__)
        return self._files[path]


def plain_function(handler: Any) -> types.FunctionType | None:
    """Return the function below partials and decorators, or None."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    if isinstance(handler, types.MethodType):
        handler = handler.__func__
    if not isinstance(handler, types.FunctionType):
        return None
    try:
        inner = inspect.unwrap(handler)
    except ValueError:  # A cycle.
        return None
    return inner if isinstance(inner, types.FunctionType) else None


def _given(handler: Any) -> int:
    """Return how many parameters partials and methods give a value."""
    count = 0
    while isinstance(handler, functools.partial):
        count += len(handler.args)
        handler = handler.func
    return count + isinstance(handler, types.MethodType)


def first_line(node: FunctionNode) -> int:
    """Return the line that a code object names: of the first decorator, if there is one."""
    if isinstance(node, ast.Lambda) or not node.decorator_list:
        return node.lineno
    return node.decorator_list[0].lineno


def _functions(tree: ast.AST) -> Iterator[FunctionNode]:
    for node in ast.walk(tree):
        if isinstance(node, FunctionNode):
            yield node


def _read(path: str, module_globals: dict[str, Any]) -> SourceFile | None:
    linecache.checkcache(path)
    lines = linecache.getlines(path, module_globals)
    if not lines:
        return None
    try:
        return SourceFile(path, lines)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # Made by a tool, or no Python at all.
