"""What a schedule's workers stand on: the database, where they pause, die, and are cut off."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from django.db import OperationalError

from tests.simulation import kinds
from tests.simulation.script import short
from tests.simulation.shapes import Edge
from tests.simulation.workers import Died, Task

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule


class Ground:
    """The database's listener: everything that workers do comes by here.

    Attributes:
        edges: Of statements, passed by all workers until the late ones have woken up.
        seen: Edges of the whole schedule, each once.
        struck: The edge at which a worker was struck.
        points: Named points at which a worker died.

    Args:
        aim: A named point at which a worker dies, as soon as one comes by.
        strike: The number of the edge at which one dies.
    """

    def __init__(self, schedule: Schedule, rng: random.Random, *, aim: str, strike: int) -> None:
        self._schedule = schedule
        self._stage = schedule.stage
        self._rng = rng
        self._aim = aim
        self._strike = strike
        self.edges: list[Edge] = []
        self.seen: set[Edge] = set()
        self.struck: Edge | None = None
        self.points: set[str] = set()
        # Of its own, so that schedules without it stay as they are.
        self._server_rng = random.Random(schedule.seed ^ 0xD15C)
        self._crashes = self._server_rng.choice([1, 2, 3]) if self._is_weak() else 0
        self._written: list[tuple[Any, ...]] = []  # By the transaction that is open.
        self._unflushed: list[tuple[str, int]] = []  # Places that no durable commit has seen.

    # What the database says --------------------------------------------------------------

    def statement(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        task = self._stage.crew.current
        if task is None:
            return execute(sql, params, many, context)
        if task.is_killed:
            if sql.startswith(("ROLLBACK", "RELEASE")):
                return execute(sql, params, many, context)
            raise Died
        is_alone = not self._stage.database.in_atomic_block
        if is_alone:
            self.pause(task, sql)
        if task.is_cut_off:
            task.is_cut_off = False
            raise OperationalError("simulated: the server died")
        self._boundary(task, sql, "before a statement")
        result = execute(sql, params, many, context)
        if sql.startswith("BEGIN"):
            # Django does not know of the transaction yet; dying here is dying before it.
            return result
        if is_alone:
            self._committed()
        self._boundary(task, sql, "after a statement")
        return result

    def saw(self, *row: Any) -> None:
        self._written.append(row)
        self._schedule.audit.saw(row)

    def before_commit(self) -> None:
        task = self._stage.crew.current
        if task is not None:
            if task.is_killed:
                raise Died
            self._boundary(task, "COMMIT", "before a commit")

    def after_commit(self) -> None:
        self._committed()
        task = self._stage.crew.current
        if task is not None:
            self._boundary(task, "COMMIT", "after a commit")

    def rolled_back(self) -> None:
        self._written.clear()
        self._schedule.audit.rolled_back()

    def _committed(self) -> None:
        self._schedule.audit.committed()
        rows, self._written = self._written, []
        if any(row[0] != "routed" or row[2] is not None or row[3] is not None for row in rows):
            # It waits for the disk, and takes along what did not.
            self._unflushed.clear()
        else:
            self._unflushed += [(row[1], row[4]) for row in rows]

    # Where a worker stands, and where it ends --------------------------------------------

    def reach(self, name: str) -> None:
        """Stand at a named point of the engine."""
        task = self._stage.crew.current
        if task is None:
            return
        if task.is_killed:
            raise Died
        if name in kinds.OF_POINTS:
            self._schedule.counts[kinds.OF_POINTS[name]] += 1
        if not self._stage.database.in_atomic_block:
            self.pause(task, name)
        if task.aim == name:
            task.fuse = 1
        elif self._aim == name and not self._schedule.is_late:
            self._aim = ""
            task.fuse, task.fuse_kind = 1, "death"
        self._boundary(task, name, "at a named point")

    def pause(self, task: Task, at: str) -> None:
        """Let a task stand, outside of transactions, if the schedule's habits say so."""
        if self._schedule.is_calm:
            return
        habits = self._schedule.habits
        task.pauses += 1
        if habits.style == "hold":
            task.is_held = task.pauses == task.hold_at
            if not task.is_held and self._rng.random() < 0.97:
                return
        elif self._rng.random() < habits.stay:
            return
        self._stage.crew.stand(task, at)

    def _boundary(self, task: Task, at: str, edge: str) -> None:
        is_point = edge == "at a named point"
        self.seen.add((edge, at))
        if not self._schedule.is_late:
            self.edges.append((edge, at))
            if len(self.edges) == self._strike:
                self.struck = (edge, at)
                task.fuse, task.fuse_kind = 1, "death"
        if task.fuse <= 0:
            return
        task.fuse -= 1
        if task.fuse > 0:
            return
        counts, log = self._schedule.counts, self._schedule.log
        if task.fuse_kind == "error":
            if is_point:
                task.fuse = 1
                return
            task.fault_fired = True
            log(f"{task}: the database fails at {short(at)}")
            counts["the database fails"] += 1
            raise OperationalError("simulated: the connection was lost")
        log(f"{task}: its worker dies at {short(at)}")
        counts["deaths"] += 1
        counts[f"worker lost {edge}"] += 1
        if is_point:
            self.points.add(at)
        task.is_killed = True
        task.process.is_dead = True
        raise Died

    # The server ----------------------------------------------------------------------------

    def shake(self) -> None:
        """Let the server die now and then, while there is something that it would lose."""
        if self._crashes and self._unflushed and self._server_rng.random() < 0.2:
            self._crash()

    def _is_weak(self) -> bool:
        """Whether the server of this schedule may die: of one in seven."""
        return self._schedule.has_faults and self._schedule.seed % 7 == 3

    def _crash(self) -> None:
        """The server dies and comes back without the places that were not on its disk."""
        self._crashes -= 1
        self._schedule.log(f"the server dies, {len(self._unflushed)} places are lost")
        self._schedule.counts["server lost what was not on its disk"] += 1
        database = self._stage.database
        database.listener = None
        for event_id, seq in reversed(self._unflushed):
            database.raw.execute("UPDATE inngest_event SET seq = NULL WHERE id = ?", (event_id,))
            database.raw.execute("UPDATE inngest_counter SET last_seq = ?", (seq - 1,))
        database.listener = self
        self._unflushed.clear()
        for task in self._schedule.tasks:
            if task.has_begun:
                task.is_cut_off = task.fault_fired = True
