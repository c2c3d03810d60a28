"""The broker of a schedule: it loses messages, repeats them, and is away at times."""

from __future__ import annotations

import heapq
import random
from typing import TYPE_CHECKING

from tests.simulation.stage import Message
from tests.simulation.workers import Died

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule


class Broker:
    """What was published and not delivered yet.

    Attributes:
        messages: A heap.
        is_down: Refuses what is published.
    """

    def __init__(self, schedule: Schedule, rng: random.Random) -> None:
        self._schedule = schedule
        self._rng = rng
        self._number = 0
        self.messages: list[Message] = []
        self.is_down = False

    def publish(self, found: list[tuple[int, float]]) -> bool:
        """Take hints for jobs, with their delays; job 0 asks for routing."""
        schedule = self._schedule
        task = schedule.stage.crew.current
        if task is not None and task.is_killed:
            raise Died
        if schedule.stage.database.in_atomic_block:
            schedule.audit.complain(f"{task} published before its commit")
        if self.is_down and not schedule.is_calm:
            schedule.counts["hint refused by the broker"] += 1
            return False
        for job_id, delay in found:
            for _ in range(self._copies()):
                self._number += 1
                due = schedule.stage.elapsed + delay
                heapq.heappush(self.messages, Message(due, self._number, job_id))
        return True

    def take(self, message: Message) -> None:
        """Take one out, in whatever order."""
        self.messages.remove(message)
        heapq.heapify(self.messages)

    def take_due(self) -> Message | None:
        """Take out the one that is due for the longest time, if any is."""
        if self.messages and self.messages[0].due <= self._schedule.stage.elapsed:
            return heapq.heappop(self.messages)
        return None

    def _copies(self) -> int:
        schedule = self._schedule
        if schedule.is_calm:
            return 1
        if self._rng.random() < schedule.habits.loses_hints:
            schedule.counts["hint lost"] += 1
            return 0
        if self._rng.random() < schedule.habits.repeats_hints:
            schedule.counts["hint repeated"] += 1
            return 2
        return 1
