"""The ``checkpointing`` option of settings, clients and functions."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping

from inngest_django.durations import parse_duration

_HINT = 'Write True, False, or {"max_runtime": "10s", "max_steps": 1000}.'


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one task may do before it leaves the rest of the run to the next one."""

    max_runtime: dt.timedelta = dt.timedelta(seconds=10)
    max_steps: int = 10_000


def parse(value: object) -> Limits | None:
    """Return the limits of an option's value, or None when it is off.

    Raises:
        ValueError: The value is no such option; the text names it and the remedy.
    """
    if value is None or value is False:
        return None
    if value is True:
        return Limits()
    if not isinstance(value, Mapping) or not set(value) <= {"max_runtime", "max_steps"}:
        raise ValueError(f"cannot be {value!r}. {_HINT}")
    steps = value.get("max_steps", Limits().max_steps)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"max_steps must be a whole number of at least 1, got {steps!r}. {_HINT}")
    runtime = parse_duration(value.get("max_runtime", "10s"), what="max_runtime")
    return Limits(max_runtime=runtime, max_steps=steps)
