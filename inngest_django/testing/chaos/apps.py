"""The app that only the processes of a chaos session install."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from django.apps import AppConfig

from inngest_django.engine import hints
from inngest_django.engine.hints import JobHint, Publisher
from inngest_django.functions import registry
from inngest_django.testing.chaos import handover

LOSE, REPEAT = "lose_hints", "repeat_hints"
_TIMES = 5


class ChaosConfig(AppConfig):
    """Registers the functions of the load and no others."""

    name = "inngest_django.testing.chaos"
    label = "inngest_chaos"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let the project's own functions rest, and stand between engine and broker."""
        from inngest_django.testing.chaos import functions

        # For the life of the process.
        contextlib.ExitStack().enter_context(registry.only(functions.ALL))
        folder = handover.received().folder
        hints.install(Unreliable(hints.install(_Nobody()), folder))


class _Nobody:
    def execute(self, found: Sequence[JobHint]) -> bool:  # noqa: ARG002 - a Publisher's
        return False

    def route(self) -> bool:
        return False

    def prune(self, number: int) -> bool:  # noqa: ARG002 - a Publisher's
        return False

    def waiting(self, queue: str) -> int:  # noqa: ARG002 - a Publisher's
        return 0


class Unreliable:
    """A publisher whose messages vanish, or come several times, while a flag is there."""

    def __init__(self, inner: Publisher, folder: str) -> None:
        self._inner = inner
        self._lose = handover.flag(folder, LOSE)
        self._repeat = handover.flag(folder, REPEAT)

    def execute(self, found: Sequence[JobHint]) -> bool:
        """Publish never, once or often."""
        if os.path.exists(self._lose):
            return True
        if os.path.exists(self._repeat):
            return self._inner.execute([hint for hint in found for _ in range(_TIMES)])
        return self._inner.execute(found)

    def route(self) -> bool:
        """Ask for routing, or only say so."""
        return os.path.exists(self._lose) or self._inner.route()

    def prune(self, number: int) -> bool:
        """Ask for the next turn of a pruning, or only say so."""
        return os.path.exists(self._lose) or self._inner.prune(number)

    def waiting(self, queue: str) -> int:
        """Return what the broker says."""
        return self._inner.waiting(queue)
