"""Values as bytes: equal values have equal bytes, whatever wrote them.

``1`` and ``1.0`` are one number, and null is what is missing. Each value begins with a
letter for its kind, so that ``1``, ``"1"`` and ``true`` differ.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping
from typing import Any

from inngest_django.expressions import times
from inngest_django.expressions.errors import (
    EvaluationFault,
    ExpressionError,
    LimitFault,
)
from inngest_django.expressions.values import MAX_DATA_DEPTH, kind_of

MAX_NODES = 64
MAX_DEPTH = 4

# Beyond doubles, so that whether a number can be encoded never depends on its type, and
# far below where Python refuses to write decimals.
_LONGEST_INTEGER_BITS = 1_100
_MAX_KEY_NODES = 100_000


def canonical(value: object) -> bytes:
    """Return the canonical bytes of any value an expression can have.

    Raises:
        ExpressionError: Kind ``eval`` for NaN, infinity and numbers beyond doubles,
            ``limit`` for too much nesting or data.
    """
    try:
        return _Encoder(_MAX_KEY_NODES, MAX_DATA_DEPTH, allow_times=True).encode(value)
    except EvaluationFault as fault:
        raise ExpressionError(str(fault), kind="eval") from None
    except LimitFault as fault:
        raise ExpressionError(str(fault), kind="limit") from None


def indexable(value: object) -> bytes | None:
    """Return the canonical bytes of a value small enough to look up by, or None.

    Equal values are either both indexable or both not.
    """
    if type(value) is str:
        return _string(value)
    try:
        return _Encoder(MAX_NODES, MAX_DEPTH, allow_times=False).encode(value)
    except (EvaluationFault, LimitFault):
        return None


def digest(value: object) -> str:
    """Return the hash of the canonical bytes, 32 hexadecimal digits.

    Raises:
        ExpressionError: As ``canonical``.
    """
    return hashlib.blake2b(canonical(value), digest_size=16).hexdigest()


class _Encoder:
    """One walk over one value, counting its parts."""

    def __init__(self, nodes: int, depth: int, *, allow_times: bool) -> None:
        self.nodes = nodes
        self.depth = depth
        self.allow_times = allow_times

    def encode(self, value: object, depth: int = 0) -> bytes:
        self.nodes -= 1
        if self.nodes < 0 or depth > self.depth:
            raise LimitFault("a value is too large or nests too deeply for a key.")
        if isinstance(value, list | tuple):
            parts = [self.encode(element, depth + 1) for element in value]
            return b"l%d:%b" % (len(parts), b"".join(parts))
        if isinstance(value, Mapping):
            parts = []
            for key in sorted(value):
                parts += [_string(key), self.encode(value[key], depth + 1)]
            return b"m%d:%b" % (len(value), b"".join(parts))
        return self.encode_scalar(value)

    def encode_scalar(self, value: object) -> bytes:
        kind = kind_of(value)
        if kind in _TIMES and not self.allow_times:
            raise EvaluationFault("times and types are not looked up.")
        return _SCALARS[kind](value)


def _number(value: int | float) -> bytes:
    if isinstance(value, float):
        if value - value != 0:  # NaN and infinity
            raise EvaluationFault("a number is not finite.")
        if not value.is_integer():
            return b"d" + struct.pack(">d", value)
        value = int(value)
    if value.bit_length() > _LONGEST_INTEGER_BITS:
        raise EvaluationFault("a number is too large for a key.")
    return b"i%d" % value


def _string(value: str) -> bytes:
    text = value.encode("utf-8", "surrogatepass")
    return b"s%d:%b" % (len(text), text)


_SCALARS: dict[str, Callable[[Any], bytes]] = {
    "null": lambda _: b"n",
    "bool": lambda value: b"b1" if value else b"b0",
    "number": _number,
    "string": _string,
    "timestamp": lambda value: b"t" + times.timestamp_text(value).encode(),
    "duration": lambda value: b"u" + times.duration_text(value).encode(),
    "type": lambda value: b"y" + value.name.encode(),
}
_TIMES = frozenset({"timestamp", "duration", "type"})
