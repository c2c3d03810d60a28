"""The promises, compared with every row that is written and every state that is committed."""

from __future__ import annotations

import collections
import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from inngest_django import clock
from inngest_django.models import WaitStatus
from inngest_django.serialization import loads
from inngest_django.states import (
    RUN_ENDED,
    RUN_TRANSITIONS,
    STEP_SETTLED,
    STEP_TRANSITIONS,
    RunStatus,
    StepStatus,
)
from tests.simulation import kinds
from tests.simulation.database import Database

# Of a wait: closed once, and never open again.
WAIT_TRANSITIONS: Mapping[WaitStatus, frozenset[WaitStatus]] = {
    status: frozenset(WaitStatus) - {status} if status is WaitStatus.OPEN else frozenset()
    for status in WaitStatus
}
_LIVE = "('queued', 'running')"
# Addressed to one function: it is never routed, and says what was committed before it.
_INVOKED = "'inngest/function.invoked'"
_OPEN = "('planned', 'running', 'waiting')"
# A job is looked at again within this many seconds of its time, whatever was lost.
_HINT_BOUND = dt.timedelta(seconds=20)

# True in every committed state.
_UNSOUND = f"""
SELECT 'live run ' || r.id || ' has no job' FROM inngest_run r
  WHERE r.status IN {_LIVE} AND NOT EXISTS (SELECT 1 FROM inngest_job j WHERE j.run_id = r.id)
UNION ALL
SELECT 'open step ' || s.name || ' of a live run has ' || count(j.id) || ' jobs'
  FROM inngest_step s JOIN inngest_run r ON r.id = s.run_id
  LEFT JOIN inngest_job j ON j.step_id = s.id
  WHERE s.status IN {_OPEN} AND r.status IN {_LIVE} GROUP BY s.id HAVING count(j.id) <> 1
UNION ALL
SELECT 'ended run ' || r.id || ' has open step ' || s.name
  FROM inngest_step s JOIN inngest_run r ON r.id = s.run_id
  WHERE s.status IN {_OPEN} AND r.status NOT IN {_LIVE}
UNION ALL
SELECT 'settled step ' || s.name || ' has a job' FROM inngest_job j
  JOIN inngest_step s ON s.id = j.step_id WHERE s.status NOT IN {_OPEN}
UNION ALL
SELECT 'ended run ' || r.id || ' has a job: ' || j.kind FROM inngest_job j
  JOIN inngest_run r ON r.id = j.run_id WHERE r.status NOT IN {_LIVE}
UNION ALL
SELECT 'run ' || j.run_id || ' has ' || count(*) || ' enter jobs' FROM inngest_job j
  WHERE j.kind = 'enter' GROUP BY j.run_id HAVING count(*) > 1
UNION ALL
SELECT 'job of kind ' || kind || ' without a step' FROM inngest_job
  WHERE (step_id IS NULL) <> (kind = 'enter')
UNION ALL
SELECT 'ended run ' || w.run_id || ' has an open wait' FROM inngest_wait w
  JOIN inngest_run r ON r.id = w.run_id WHERE w.status = 'open' AND r.status NOT IN {_LIVE}
UNION ALL
SELECT 'closed wait for ' || w.event_name || ' has a key' FROM inngest_wait_key k
  JOIN inngest_wait w ON w.id = k.wait_id WHERE w.status <> 'open'
UNION ALL
SELECT 'wait and its step ' || s.name || ' disagree' FROM inngest_wait w
  JOIN inngest_step s ON s.id = w.step_id WHERE (w.status = 'open') <> (s.status = 'waiting')
UNION ALL
SELECT 'event ' || id || ' was routed before it was stamped' FROM inngest_event
  WHERE routed_at IS NOT NULL AND seq IS NULL AND name <> {_INVOKED}
UNION ALL
SELECT 'two events have seq ' || seq FROM inngest_event WHERE seq IS NOT NULL
  AND name <> {_INVOKED} GROUP BY seq HAVING count(*) > 1
"""


class Audit:
    """Keeps what was committed, and says when a promise is broken."""

    def __init__(
        self, database: Database, holder: Callable[[], Any], counts: collections.Counter[str]
    ) -> None:
        self.problems: list[str] = []
        self.transitions: collections.Counter[tuple[str, str | None, str]] = collections.Counter()
        self.counts = counts
        self.taken_over: set[int] = set()  # Tokens of leases that ended and went to another.
        self.accepted: dict[str, tuple[str, str | None]] = {}
        self._database = database
        self._holder = holder
        self._pending: list[tuple[Any, ...]] = []
        self._tokens: set[int] = set()
        self._settled: dict[int, tuple[Any, ...]] = {}
        self._floors: dict[str, int] = {}

    def complain(self, problem: str) -> None:
        self.problems.append(problem)

    # What the connection tells ---------------------------------------------------------

    def saw(self, row: tuple[Any, ...]) -> None:
        self._pending.append((*row, self._holder(), clock.now()))

    def rolled_back(self) -> None:
        self._pending.clear()

    def committed(self) -> None:
        if not self._pending:
            return
        rows, self._pending = self._pending, []
        for kind, *values, task, now in rows:
            getattr(self, f"_{kind.replace(' ', '_')}")(*values, task=task, now=now)
        for (problem,) in self._database.raw.execute(_UNSOUND).fetchall():
            self.complain(problem)

    # Rows --------------------------------------------------------------------------------

    def _event(
        self, id_: str, name: str, external_id: str | None, routed_at: Any, **_: Any
    ) -> None:
        self.accepted[id_] = (name, external_id)
        self.counts["event accepted"] += 1

    def _routed(self, id_: str, was_routed: Any, old_seq: Any, new_seq: Any, **_: Any) -> None:
        if was_routed is not None:
            self.complain(f"event {id_} was routed twice")
        self.counts["event stamped or routed"] += 1
        if old_seq is not None and old_seq != new_seq:
            self.complain(f"event {id_} was stamped twice")

    def _run(
        self,
        id_: str,
        old: str | None,
        new: str,
        was: int,
        revision: int,
        *,
        task: Any = None,
        **_: Any,
    ) -> None:
        self.transitions["run", old, new] += 1
        if new == RunStatus.CANCELLED != old:
            self.counts[kinds.of_cancel(str(task))] += 1
        if old is None and new != RunStatus.QUEUED:
            self.complain(f"run {id_} began as {new}")
        if old is not None and old != new and new not in RUN_TRANSITIONS[RunStatus(old)]:
            self.complain(f"run {id_} went from {old} to {new}")
        if old in RUN_ENDED and revision != was:
            self.complain(f"run {id_} changed after it had ended")
        if revision < was or revision > was + 1:
            self.complain(f"run {id_} went from revision {was} to {revision}")
        if old is None:
            [(seq, floor)] = self._database.raw.execute(
                "SELECT e.seq, r.floor_seq FROM inngest_run r JOIN inngest_event e"
                " ON e.id = r.event_id WHERE r.id = ?",
                (id_,),
            )
            self._floors[id_] = floor if seq is None else seq
        elif revision != was:
            [(last,)] = self._database.raw.execute("SELECT last_seq FROM inngest_counter")
            self._floors[id_] = last

    def _step(
        self,
        id_: int,
        run_id: str,
        name: str,
        old: str | None,
        new: str,
        was: int | None,
        revision: int | None,
        old_value: str | None,
        value: str | None,
        op: str,
        input_: str | None,
        *,
        now: dt.datetime,
        **_: Any,
    ) -> None:
        self.transitions["step", old, new] += 1
        if old != new and (op, old, new) in kinds.OF_STEPS:
            self.counts[kinds.OF_STEPS[op, old, new]] += 1
        if old is not None and old != new and new not in STEP_TRANSITIONS[StepStatus(old)]:
            self.complain(f"step {name} went from {old} to {new}")
        if new in STEP_SETTLED:
            record = (new, revision, value)
            if self._settled.setdefault(id_, record) != record:
                self.complain(f"the result of step {name} changed: {old_value} to {value}")
            if old in STEP_SETTLED and old is not None:
                self.complain(f"the result of step {name} was recorded twice")
            if revision is None:
                self.complain(f"step {name} was settled without a revision")
        if op == "Sleep" and new == StepStatus.COMPLETED and old != new:
            until = dt.datetime.fromisoformat(loads(input_ or "{}")["until"])
            if now < until:
                self.complain(f"sleep {name} ended {until - now} early")

    def _step_gone(self, id_: int, run_id: str, name: str, **_: Any) -> None:
        self.complain(f"step {name} was deleted")

    def _job(
        self,
        id_: int,
        run_id: str,
        kind: str,
        old: int | None,
        new: int | None,
        until: str | None,
        available_at: str,
        next_hint_at: str,
        *,
        task: Any,
        now: dt.datetime,
    ) -> None:
        if new is not None and new != old:
            if new in self._tokens:
                self.complain(f"token of {kind} job {id_} was used before")
            self._tokens.add(new)
            self.counts["lease taken" if old is None else "lease taken over"] += 1
            if old is not None:
                self.taken_over.add(old)
            if task is not None:
                task.tokens.add(new)
        if old is not None and new != old:
            expired = until is not None and until <= clock.as_sqlite_text(now)
            if not expired and (task is None or old not in task.tokens):
                self.complain(f"{task} took the lease of {kind} job {id_} from its holder")
            if expired and new is None and task is not None and old not in task.tokens:
                self.complain(f"{task} released a lease of {kind} job {id_} that is not its own")
        due = max(dt.datetime.fromisoformat(available_at).replace(tzinfo=dt.UTC), now)
        hint = dt.datetime.fromisoformat(next_hint_at).replace(tzinfo=dt.UTC)
        if hint > due + _HINT_BOUND * 2:
            self.complain(f"{kind} job {id_} is due at {due} and looked at only at {hint}")

    def _wait(self, id_: int, run_id: str, kind: str, floor: int, **_: Any) -> None:
        wanted = self._floors.get(run_id, 0)
        if floor > wanted:
            self.complain(f"{kind} wait begins at {floor}; its run recorded a result at {wanted}")

    def _wait_moved(self, id_: int, name: str, old: str, new: str, **_: Any) -> None:
        self.transitions["wait", old, new] += 1
        if old != new and new not in WAIT_TRANSITIONS[WaitStatus(old)]:
            self.complain(f"wait {id_} for {name} went from {old} to {new}")
