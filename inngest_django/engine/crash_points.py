"""Named points at which a test may stop the process, or do something worse.

A promise about crashes is tested by crashing at every one of them. Without a hook a point
costs one comparison.
"""

from __future__ import annotations

from collections.abc import Callable

NAMES = (
    "execute.start",
    "lease.taken",
    "call.start",
    "call.end",
    "checkpoint.start",
    "checkpoint.committed",
    "outcome.locked",
    "outcome.written",
    "outcome.committed",
    "hints.before_publish",
    "hints.published",
    "timer.start",
    "timer.written",
    "timer.committed",
    "stamp.written",
    "stamp.committed",
    "route.before_settle",
    "route.settle_written",
    "route.settle_committed",
    "route.start_written",
    "route.start_committed",
    "tick.start",
    "tick.taken",
    "tick.published",
    "transaction.body_done",
    "transaction.committed",
)

_hook: Callable[[str], None] | None = None


def install(hook: Callable[[str], None] | None) -> None:
    """Call ``hook`` with the name of each point that is reached; None ends that."""
    global _hook
    _hook = hook


def is_watched() -> bool:
    """Whether somebody wants to know which points are reached."""
    return _hook is not None


def reach(name: str) -> None:
    """Say that execution stands at a point."""
    if _hook is not None:
        _hook(name)
