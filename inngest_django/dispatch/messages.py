"""A message to publish, before Celery has seen it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """One message to publish, before Celery has seen it."""

    task: str
    args: tuple[int, ...]
    queue: str
    countdown: float = 0.0
