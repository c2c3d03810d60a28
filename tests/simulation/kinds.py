"""The kinds of steps and faults that schedules are made of, counted as they happen.

A simulation that never lets a worker wake up late proves nothing about late workers. So each
kind has a name, and a test asserts that the schedules of a session had every one of them.
"""

from __future__ import annotations

from collections.abc import Mapping

# Named points of the engine that stand for a kind.
OF_POINTS: Mapping[str, str] = {
    "outcome.committed": "outcome recorded",
    "checkpoint.committed": "outcome recorded by a checkpoint",
    "transaction.committed": "outcome recorded with a transaction's writes",
    "timer.committed": "timer done",
    "route.settle_committed": "batch of events routed",
    "tick.published": "tick that hints",
}

OF_TASKS: Mapping[str, str] = {
    "tick": "tick",
    "renew": "lease renewed",
    "drain": "worker drained",
}

# By operation and the two statuses of a step.
OF_STEPS: Mapping[tuple[str, str | None, str], str] = {
    ("StepRun", "running", "planned"): "body failed, to be retried",
    ("StepRun", "running", "failed"): "body failed for good",
    ("Sleep", "waiting", "completed"): "sleep ended",
    ("WaitForEvent", "waiting", "completed"): "wait matched",
    ("WaitForEvent", "waiting", "timed_out"): "wait timed out",
    ("InvokeFunction", "waiting", "completed"): "invoked run ended",
    ("InvokeFunction", "waiting", "failed"): "invoke failed or timed out",
}

CANCELS = (
    "run cancelled by a call",
    "run cancelled by an event",
    "run cancelled at its first entry",
)

FAULTS = (
    "worker lost before a statement",
    "worker lost after a statement",
    "worker lost before a commit",
    "worker lost after a commit",
    "worker lost at a named point",
    "worker lost between transactions",
    "stale worker goes on",
    "stale worker is refused",
    "hint lost",
    "hint repeated",
    "hint refused by the broker",
    "the database fails",
    "server lost what was not on its disk",
)

ALL: tuple[str, ...] = (
    "lease taken",
    "lease taken over",
    "event accepted",
    "event stamped or routed",
    "event rolled back",
    *OF_POINTS.values(),
    *OF_TASKS.values(),
    *OF_STEPS.values(),
    *CANCELS,
    *FAULTS,
)


def of_cancel(task: str) -> str:
    """Return the kind of a cancel, by the task that wrote it."""
    if task.startswith("cancel "):
        return CANCELS[0]
    return CANCELS[1] if task.startswith("route") else CANCELS[2]


def table(counts: Mapping[str, int]) -> str:
    """Return a line for each kind and how often it happened."""
    return "\n".join(f"  {counts.get(kind, 0):>9,}  {kind}" for kind in ALL)
