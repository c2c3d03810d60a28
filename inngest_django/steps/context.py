"""What a handler receives."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any, cast

from inngest_django.events import Event
from inngest_django.steps.groups import Group, GroupSync
from inngest_django.steps.tools import Step, StepSync


@dataclasses.dataclass(kw_only=True)
class _Common:
    """The part that both kinds of handler share.

    Attributes:
        attempt: Which try of the current piece of work this is, counted from 0.
        event: The event that started the run; of a batch the first.
        events: All events that started the run.
        logger: The client's logger, silent while stored results are replayed.
        run_id: ULID text.
        job_id: The job that made this call, or None.
        request_id: This call, or None.
    """

    attempt: int
    event: Event
    events: list[Event]
    logger: logging.Logger
    run_id: str
    job_id: str | None = None
    request_id: str | None = None


@dataclasses.dataclass(kw_only=True)
class Context(_Common):
    """What an async handler receives."""

    group: Group
    step: Step


@dataclasses.dataclass(kw_only=True)
class ContextSync(_Common):
    """What a plain handler receives."""

    group: GroupSync
    step: StepSync


_SILENCED = frozenset(
    ("critical", "debug", "error", "exception", "fatal", "info", "log", "warn", "warning")
)


class ReplayLogger:
    """Passes to a logger what new code says, and nothing of what replayed code says."""

    def __init__(self, target: Any, is_replaying: Callable[[], bool]) -> None:
        self._target = target
        self._is_replaying = is_replaying

    def __getattr__(self, name: str) -> Any:
        if name in _SILENCED and self._is_replaying():
            return _silent
        return getattr(self._target, name)


def _silent(*_args: object, **_kwargs: object) -> None:
    return None


def replay_logger(target: Any, is_replaying: Callable[[], bool]) -> logging.Logger:
    """Return the logger for ``ctx.logger``."""
    return cast("logging.Logger", ReplayLogger(target, is_replaying))
