"""Checks on the text of an expression, made before any parser sees it.

The parser has no deadline and its lexer backtracks: an unterminated string of twenty
escaped backslashes, 41 characters in all, holds the interpreter lock for a minute.
"""

from __future__ import annotations

from inngest_django.expressions.errors import ExpressionError

MAX_CHARACTERS = 2_048
MAX_KEY_CHARACTERS = 1_024
MAX_BACKSLASHES = 10
MAX_BRACKETS = 24

_OPENING = "([{"
_CLOSING = ")]}"


def guarded(source: object, *, kind: str) -> str:
    """Return the text to parse, or raise if parsing it could be expensive.

    Line ends become line feeds: in a long string the lexer can read each carriage return in
    two ways, so that an unterminated one doubles its work with every line.

    Raises:
        ExpressionError: Kind ``limit``, or ``invalid`` when it is no text.
    """
    if not isinstance(source, str):
        raise ExpressionError(
            f"An expression must be text, got {type(source).__name__}. "
            'Write it as a string, such as "event.data.total > 100".',
            kind="invalid",
        )
    if not source.strip():
        raise ExpressionError(
            "An expression cannot be empty. Leave it out to match every event.",
            kind="syntax",
        )
    longest = MAX_KEY_CHARACTERS if kind == "key" else MAX_CHARACTERS
    if len(source) > longest:
        raise _limit(
            source,
            f"it has {len(source)} characters, but at most {longest} are allowed. "
            "Compare with values that the event carries instead of listing them.",
        )
    backslashes = source.count("\\")
    if backslashes > MAX_BACKSLASHES:
        raise _limit(
            source,
            f"it has {backslashes} backslashes, but at most {MAX_BACKSLASHES} are "
            "allowed. Move the value into the event, or write it without escapes.",
        )
    # Counting is enough for nearly every source and costs next to nothing.
    if sum(map(source.count, _OPENING)) > MAX_BRACKETS:
        depth = _bracket_depth(source)
        if depth > MAX_BRACKETS:
            raise _limit(
                source,
                f"its brackets nest more than {MAX_BRACKETS} deep. "
                "Split it, or remove brackets that change nothing.",
            )
    return source.replace("\r\n", "\n").replace("\r", "\n")


def _bracket_depth(source: str) -> int:
    # Brackets inside strings count as well. A string can so hide depth from this check;
    # lowering has its own bound, and this one only keeps ordinary mistakes cheap.
    depth = deepest = 0
    for character in source:
        if character in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif character in _CLOSING:
            depth = max(depth - 1, 0)
    return deepest


def _limit(source: str, problem: str) -> ExpressionError:
    return ExpressionError(problem, kind="limit", source=source)
