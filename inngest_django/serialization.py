"""JSON in and out, the one place that fixes how values are stored.

Values are stored as ASCII JSON text: key order survives, NUL and lone surrogates are
escapes, so that no database refuses them in the middle of a caller's transaction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence


def dumps(value: object) -> str:
    """Return compact ASCII JSON.

    Raises:
        TypeError, ValueError: The value is not JSON (NaN and infinities included).
        RecursionError: The value is nested too deeply.
    """
    return _encoder.encode(value)


def is_storable(text: str) -> bool:
    """Whether a text column takes it as it is: no NUL, and no half of a surrogate pair."""
    return _UNSTORABLE.search(text) is None


def storable(text: str) -> str:
    """Return a text for people, with a mark in the place of what no text column takes."""
    return _UNSTORABLE.sub("\ufffd", text)


def utf8_size(value: object) -> int:
    """Return how many bytes a value's compact JSON has in UTF-8."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return len(text.encode("utf-8", "surrogatepass"))


def loads(text: str | bytes) -> object:
    """Return the decoded JSON; NaN and infinities are refused.

    Raises:
        ValueError: The text is no JSON.
    """
    if isinstance(text, bytes):
        return json.loads(text, parse_constant=_refuse_constant)  # It finds out the encoding.
    value: object = _decoder.decode(text)
    return value


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON value")


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# Made once: the functions of ``json`` make one for each call that has options.
_encoder = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))
_decoder = json.JSONDecoder(parse_constant=_refuse_constant)


def depth(value: object, *, limit: int) -> int:
    """Return how deep lists and objects nest, counting no further than ``limit`` + 1.

    Iterative, because the values worth refusing are those that would exhaust the stack.
    """
    deepest = 0
    level: list[object] = [value]
    while level and deepest <= limit:
        following: list[object] = []
        for item in level:
            if isinstance(item, Mapping):
                following.extend(item.values())
            elif isinstance(item, Sequence) and not isinstance(item, str | bytes):
                following.extend(item)
            else:
                continue
        nested = any(
            isinstance(item, Mapping)
            or (isinstance(item, Sequence) and not isinstance(item, str | bytes))
            for item in level
        )
        deepest += 1 if nested else 0
        level = following
        if not nested:
            break
    return deepest
