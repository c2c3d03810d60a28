"""The parser: cel-python's grammar, and nothing else of cel-python.

Importing it costs 150 ms and building its tables 200 ms, so both wait for the first
expression.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from inngest_django.expressions.errors import ExpressionError

if TYPE_CHECKING:
    import lark
    from celpy.celparser import CELParser

_lock = threading.Lock()
_parser_class: type[CELParser] | None = None


def parse(text: str, *, source: str) -> lark.Tree[lark.Token]:
    """Return cel-python's parse tree of a guarded text.

    Raises:
        ExpressionError: Kind ``syntax`` with its place.

    Concurrency: the tables are built once under a lock; parsing itself runs in parallel,
        each call with a parser object of its own because the object remembers its text.
    """
    parser_class = _parser_class or _load()
    from celpy.celparser import CELParseError

    try:
        return parser_class().parse(text)
    except CELParseError as error:
        raise _syntax_error(error, source) from None
    except RecursionError:
        raise ExpressionError(
            "it nests too deeply. Split it.", kind="limit", source=source
        ) from None


def _load() -> type[CELParser]:
    global _parser_class  # noqa: PLW0603 - one parser a process, as in cel-python
    with _lock:
        if _parser_class is None:
            # cel-python's Environment lowers the recursion limit of the whole process.
            # Its parser alone does not; this keeps it so if that should change.
            limit = sys.getrecursionlimit()
            try:
                from celpy.celparser import CELParser

                CELParser()
            finally:
                if sys.getrecursionlimit() != limit:
                    sys.setrecursionlimit(limit)
            _parser_class = CELParser
        return _parser_class


def _syntax_error(error: Exception, source: str) -> ExpressionError:
    cause = error.__context__
    token = getattr(cause, "token", None)
    character = getattr(cause, "char", None)
    if token is not None and token.type == "$END":
        problem = "it ends too early; something is missing or a bracket is not closed."
    elif character in ("'", '"'):
        problem = "a string is not closed. Add the closing quote."
    elif character == "=":
        problem = 'unexpected "=". Compare with "==".'
    elif character is not None or token is not None:
        found = character if character is not None else str(token)
        problem = f'unexpected "{found}". Write CEL, such as event.data.total > 100.'
    else:
        problem = "it cannot be parsed. Write CEL, such as event.data.total > 100."
    line, column = getattr(error, "line", None), getattr(error, "column", None)
    if not isinstance(line, int) or not isinstance(column, int) or line < 1:
        line = column = None
    return ExpressionError(problem, kind="syntax", source=source, line=line, column=column)
