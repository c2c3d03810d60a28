"""Tasks that run where they are published: ``task_always_eager``, for tests and scripts."""

from __future__ import annotations

import collections
import threading
from collections.abc import Sequence
from typing import Any

from inngest_django.dispatch.messages import Message


class Eager:
    """``task_always_eager``: runs what is hinted here, one after the other.

    Each job hints the next one from inside its task; without a queue a long run would be as
    deep a recursion. What is due later is left out: no time passes in this mode.
    """

    def __init__(self) -> None:
        self._local = threading.local()

    def run(self, app: Any, messages: Sequence[Message]) -> bool:
        """Run messages and what these lead to; inside a task, leave them to its caller."""
        queue: collections.deque[Message] | None = getattr(self._local, "queue", None)
        if queue is not None:
            queue.extend(messages)
            return True
        self._local.queue = queue = collections.deque(messages)
        try:
            while queue:
                message = queue.popleft()
                if not message.countdown:
                    app.tasks[message.task].apply(args=message.args, throw=False)
        finally:
            self._local.queue = None
        return True
