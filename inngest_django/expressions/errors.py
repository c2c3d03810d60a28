"""What goes wrong with an expression.

ExpressionError                     expression_invalid

The faults below never leave this package: they are raised inside an evaluation, where no
one knows the source, and become an ``ExpressionError`` at its edge.
"""

from __future__ import annotations

from typing import Literal

from inngest_django.errors import InngestError

ErrorKind = Literal["syntax", "invalid", "limit", "eval"]

_SHOWN_CHARACTERS = 200


class ExpressionError(InngestError):
    """An expression cannot be used, or has no value for this event.

    Attributes:
        kind: ``syntax`` (cannot be parsed), ``invalid`` (parsed, but not of this dialect),
            ``limit`` (too long, too deep, too much work) or ``eval`` (no value).
        source: The expression.
        line: Where the fault is, counted from 1, or None if it has no place.
        column: See ``line``.
    """

    code = "expression_invalid"
    is_retriable = False

    def __init__(
        self,
        problem: str,
        *,
        kind: ErrorKind,
        source: str = "",
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        place = "" if line is None else f" at line {line}, column {column}"
        head = f'Expression "{shortened(source)}"{place}: ' if source else ""
        super().__init__(head + problem)
        self.kind: ErrorKind = kind
        self.source = source
        self.line = line
        self.column = column

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by attributes; the default would call the constructor with a message."""
        return _rebuilt, (str(self), self.kind, self.source, self.line, self.column)


def _rebuilt(
    message: str, kind: ErrorKind, source: str, line: int | None, column: int | None
) -> ExpressionError:
    error = ExpressionError(message, kind=kind)
    error.source, error.line, error.column = source, line, column
    return error


def shortened(source: str) -> str:
    """Return the source as error messages show it, at most 200 characters."""
    if len(source) <= _SHOWN_CHARACTERS:
        return source
    return source[:_SHOWN_CHARACTERS] + "…"


class EvaluationFault(Exception):  # noqa: N818 - never leaves this package
    """A part of an expression has no value; ``&&`` and ``||`` may absorb it.

    Messages name types, never values, because they reach the logs.
    """


class LimitFault(Exception):  # noqa: N818 - never leaves this package
    """An evaluation does too much. No operator absorbs it."""
