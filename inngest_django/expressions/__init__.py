"""Expressions: filters, wait conditions, keys and priorities in CEL.

cel-python gives the grammar; what an expression means is decided here and documented in
``docs/reference/expressions.md``. No other package imports cel-python.
"""

from __future__ import annotations

from inngest_django.expressions.encoding import canonical
from inngest_django.expressions.errors import ErrorKind, ExpressionError
from inngest_django.expressions.filters import Filters
from inngest_django.expressions.index import (
    ArrivalKeys,
    WaitPlan,
    keys_of,
    plan,
    plan_residual,
    residual_key,
)
from inngest_django.expressions.programs import Program, bucket_key, compile  # noqa: A004 - named as in re
from inngest_django.expressions.validation import ExpressionKind

__all__ = [
    "ArrivalKeys",
    "ErrorKind",
    "ExpressionError",
    "ExpressionKind",
    "Filters",
    "Program",
    "WaitPlan",
    "bucket_key",
    "canonical",
    "compile",
    "keys_of",
    "plan",
    "plan_residual",
    "residual_key",
]
