"""One schedule: a seed's choice of programs, interleavings and faults, and its verdict."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import random
from collections.abc import Callable
from typing import Any

from django.db import OperationalError, transaction

from inngest_django import clock
from inngest_django.engine import (
    cancellation,
    crash_points,
    executor,
    hot_path,
    ingest,
    memo_cache,
    recovery,
    routing,
    sync,
)
from inngest_django.events import Event as IncomingEvent
from inngest_django.states import STEP_SETTLED
from tests.simulation import habits, kinds
from tests.simulation.audit import Audit
from tests.simulation.broker import Broker
from tests.simulation.ground import Ground
from tests.simulation.judging import Judge
from tests.simulation.programs import Player
from tests.simulation.script import Root, Script, Sending, short
from tests.simulation.shapes import Edge
from tests.simulation.stage import Message, Stage
from tests.simulation.workers import Died, Process, Task

PROCESSES = 3
# How often a task is struck; others have user code or an outcome to lose.
_FAULTS = {"tick": 0.08, "route": 0.25, "renew": 0.1, "drain": 0.1}
CHAOS_SECONDS = 66.0  # Of virtual time: a bound on how often one job can be lost.
MOST_ROUNDS = 400
LATE = 18.0  # In the calm at the end no due job stays unnoticed for longer.


class Rollback(Exception):  # noqa: N818 - it stands for the word
    """The caller's transaction is rolled back."""


@dataclasses.dataclass
class Verdict:
    """What came of a schedule."""

    seed: int
    problems: list[str]
    trace: list[str]
    transitions: collections.Counter[tuple[str, str | None, str]]
    points: set[str]
    counts: collections.Counter[str]
    edges: list[Edge]
    seen: set[Edge]
    struck: Edge | None

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.trace + self.problems).encode()).hexdigest()[:16]


class Schedule:
    """Runs one seed from an empty database to its end."""

    def __init__(
        self, stage: Stage, seed: int, *, has_faults: bool = True, aim: str = "", strike: int = 0
    ) -> None:
        self.stage = stage
        self.seed = seed
        self.rng = random.Random(seed)
        self.has_faults = has_faults
        self.is_calm = self.is_late = not has_faults
        self.trace: list[str] = []
        self.counts: collections.Counter[str] = collections.Counter()
        self.calls: collections.Counter[tuple[str, str]] = collections.Counter()
        self.tasks: list[Task] = []
        self.audit = Audit(stage.database, lambda: stage.crew.current, self.counts)
        self.player = Player(self.note, self.effect, lambda index: self.author.trees[index])
        self.ground = Ground(self, self.rng, aim=aim, strike=strike)
        self.broker = Broker(self, self.rng)
        self._rows = stage.database.rows
        self._born = 0
        self._last_tick = 0.0
        self._main = Process("main")
        stage.simulation = self
        # Ids come from a generator of their own, so that the schedule does not depend on them.
        stage.rng = random.Random(seed ^ 0x5EED)
        stage.database.listener = None
        stage.database.clear()
        stage.move(0.0)
        sync._touched = stage.elapsed + 1000.0
        sync._foreign_read = stage.elapsed + 1000.0
        stage.database.listener = self.ground
        self.script = Script(self.rng, stage.database, self.audit)
        self.theme, self.author = self.script.theme, self.script.author
        self.sendings, self.cancels = self.script.sendings, self.script.cancels
        self.processes = [self._process() for _ in range(PROCESSES)]
        self.control = Process("control")
        self.habits = habits.choose(self.rng, self.theme, has_faults=has_faults)

    @property
    def process(self) -> Process:
        """The one that runs now."""
        task = self.stage.crew.current
        return self._main if task is None else task.process

    def log(self, text: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{self.stage.elapsed:10.3f} {text}")

    # The authors' side -------------------------------------------------------------------

    def note(self, run_id: str, name: str) -> int:
        """Write a call of a body into the ledger; returns how many there were."""
        task = self.stage.crew.current
        assert task is not None
        if task.is_killed:
            raise Died
        self.calls[run_id, name] += 1
        self.log(f"{task}: body {name}")
        rows = self._rows(
            "SELECT id, status FROM inngest_step WHERE run_id = ? AND name = ?", run_id, name
        )
        if rows and rows[0][1] in STEP_SETTLED:
            is_inside = self.stage.database.in_atomic_block
            # A transaction's body may begin after its lease was lost: nothing of it stays.
            if not is_inside or self._holds_a_lease(task):
                self.audit.complain(f"body of {name} was called after its result was recorded")
        if not self.stage.database.in_atomic_block:
            self.ground.pause(task, f"body {name}")
        return self.calls[run_id, name]

    def effect(self, run_id: str, name: str) -> None:
        """Write what a transaction's body writes."""
        with self.stage.database.cursor() as cursor:
            cursor.execute("INSERT INTO sim_effect VALUES (%s, %s)", (run_id, name))

    def _holds_a_lease(self, task: Task) -> bool:
        return any(
            self._rows("SELECT 1 FROM inngest_job WHERE lease_token = ?", token)
            for token in task.tokens
        )

    # Scheduler ---------------------------------------------------------------------------

    def run(self) -> Verdict:
        try:
            if not self.is_calm:
                self._chaos()
            self._calm()
            Judge(self.stage.database, self.audit, self.script).judge()
        finally:
            self._abandon()
        return Verdict(
            self.seed,
            self.audit.problems,
            self.trace,
            self.audit.transitions,
            self.ground.points,
            self.counts,
            self.ground.edges,
            self.ground.seen,
            self.ground.struck,
        )

    def _chaos(self) -> None:
        weights = self.habits.weights
        names, odds = list(weights), list(weights.values())
        for _ in range(self.habits.budget):
            self._move(0.001)
            action = self.rng.choices(names, odds)[0]
            getattr(self, f"_do_{action}")()
            self.ground.shake()
            if self.audit.problems:
                return
            if not self.sendings and not self.tasks and self._is_over():
                return

    def _do_resume(self) -> None:
        if not self.tasks:
            return
        if self.habits.style == "lockstep" and self.rng.random() < 0.9:
            self._resume(min(self.tasks, key=lambda task: task.pauses))
            return
        free = [task for task in self.tasks if not task.is_held]
        if self.is_late or self.rng.random() < 0.04:
            free = self.tasks
        if not free:
            return
        self._resume(self.rng.choices(free, [task.pace for task in free])[0])

    def _do_deliver(self) -> None:
        messages = self.broker.messages
        if not messages or len(self.tasks) >= 6:
            return
        message = messages[self.rng.randrange(len(messages))]
        if self.theme == "events" and self.rng.random() < 0.8:
            # Routers first: the run begins while one of them stands.
            message = min(messages, key=lambda one: one.job_id)
        if message.job_id == 0 and self._router_is_behind():
            return
        self.broker.take(message)
        self._deliver(message)

    def _router_is_behind(self) -> bool:
        return (
            self.habits.is_router_slow
            and self.rng.random() < 0.9
            and bool(self._rows("SELECT 1 FROM inngest_run"))
        )

    def _do_send(self) -> None:
        able = [one for one in self.sendings if one.may_go()]
        if able and len(self.tasks) < 7:
            self._send(self.rng.choice(able))

    def _do_tick(self) -> None:
        if len(self.tasks) < 6:
            self._tick()

    def _do_pass(self) -> None:
        self._pass(self.rng.choice([0.2, 1.0, 3.0]))

    def _do_lease(self) -> None:
        """Let a lease end, or the time of a wait, while somebody stands."""
        if not self._rows(
            "SELECT 1 FROM inngest_job WHERE lease_token IS NOT NULL"
            " UNION ALL SELECT 1 FROM inngest_wait WHERE kind = 'event' AND status = 'open'"
        ):
            return
        if self.tasks and self.rng.random() < 0.6:
            self._do_lease_out()
        else:
            self._pass(21.0)

    def _pass(self, seconds: float) -> None:
        if self.stage.elapsed + seconds < CHAOS_SECONDS:
            self._move(seconds)
            self.log(f"{seconds} s pass")

    def _do_kill(self) -> None:
        if self.tasks and self.habits.losses > 0:
            self.habits.losses -= 1
            task = self.rng.choice(self.tasks)
            self.log(f"{task}: its worker is killed at {short(task.at)}")
            self.counts["deaths"] += 1
            self.counts["worker lost between transactions"] += 1
            self._bury(task.process)

    def _do_cancel(self) -> None:
        if not self.cancels:
            return
        root = self.rng.choice(self.cancels)
        run_id = self._run_of(root)
        if run_id is None:
            return
        self.cancels.remove(root)
        self._begin(f"cancel {root.key}", lambda: cancellation.cancel(run_id), self.control)

    def _do_renew(self) -> None:
        holders = [one for one in self.processes if one.renewer.held]
        if holders and len(self.tasks) < 6:
            process = self.rng.choice(holders)
            self._begin("renew", process.renewer.renew, process)

    def _do_drain(self) -> None:
        process = self.rng.choice(self.processes)
        if not process.is_draining and len(self.tasks) < 6:
            process.is_draining = True
            self._begin("drain", lambda: hot_path.mark_draining(process.name), process)

    def _do_broker(self) -> None:
        self.broker.is_down = not self.broker.is_down
        self.log(f"broker {'down' if self.broker.is_down else 'up'}")

    def _calm(self) -> None:
        """No more faults: whatever was left behind must come to its end by itself."""
        self.broker.is_down = False
        rounds = 0
        self._wake_the_late()
        self.is_calm = True
        for process in self.processes:
            process.is_draining = False
        self.log("calm")
        calm_since = self.stage.elapsed
        while not self.audit.problems:
            rounds += 1
            if rounds > MOST_ROUNDS:
                self.audit.complain(f"did not end: {self._leftovers()}")
                return
            self._work_off()
            if self.stage.elapsed > calm_since + LATE:
                self._complain_of_late_jobs()
            for root in list(self.cancels):
                run_id = self._run_of(root)
                if run_id is not None:
                    self.cancels.remove(root)
            able = [one for one in self.sendings if one.may_go()]
            if able:
                self._move(0.001)
                self._send(able[0])
                continue
            if self._is_over():
                return
            self._wait_for_something()

    def _wake_the_late(self) -> None:
        """Let late workers wake up in any order, before or after others took over."""
        self.is_late = True
        while not self.is_calm and self.tasks and not self.audit.problems:
            self._move(0.001)
            if self.rng.random() < 0.25:
                self._do_lease_out()
            self._do_resume()

    def _do_lease_out(self) -> None:
        """Let leases end and others take over while the late ones still stand."""
        # Not a fourth time: a job that is lost for the fifth time ends its run, as it should.
        if self.stage.elapsed + 3.0 < CHAOS_SECONDS:
            self._move(21.0)
            self.log("21 s pass")
            self._tick()
            for message in list(self.broker.messages):
                if message.job_id == 0 and self._router_is_behind():
                    continue
                if len(self.tasks) < 8 and message.due <= self.stage.elapsed:
                    self.broker.take(message)
                    self._deliver(message)

    def _work_off(self) -> None:
        while not self.audit.problems:
            self._move(0.001)
            if self.tasks:
                self._resume(self.tasks[0])
            elif (message := self.broker.take_due()) is not None:
                self._deliver(message)
            else:
                return

    def _wait_for_something(self) -> None:
        """Move the clock to the next moment at which anything is to be done, and tick."""
        moments = []
        [(moment,)] = self._rows("SELECT min(next_hint_at) FROM inngest_job")
        if moment is not None:
            due = (_moment(moment) - self.stage.now).total_seconds()
            moments.append(self.stage.elapsed + due - hot_path.lookahead().total_seconds())
        if self.broker.messages:
            moments.append(self.broker.messages[0].due)
        if self._rows("SELECT 1 FROM inngest_event WHERE routed_at IS NULL"):
            moments.append(0.0)
        if not moments:
            moments.append(0.0)
        target = max(min(moments), self.stage.elapsed + 0.1)
        if target < self._last_tick + 1.0 and not self.broker.messages:
            target = self._last_tick + 1.0
        self._move(target - self.stage.elapsed)
        if target >= self._last_tick + 1.0:
            self._last_tick = target
            self._tick()

    def _complain_of_late_jobs(self) -> None:
        now = clock.as_sqlite_text(self.stage.now - _seconds(LATE))
        for job_id, kind in self._rows(
            "SELECT id, kind FROM inngest_job"
            " WHERE max(available_at, coalesce(leased_until, available_at)) < ?",
            now,
        ):
            self.audit.complain(f"nobody looks at {kind} job {job_id}, due for over {LATE} s")

    # Tasks -------------------------------------------------------------------------------

    def _begin(self, name: str, work: Callable[[], Any], process: Process) -> None:
        task = Task(name, work, process)
        task.pace = self.rng.choice([1, self.habits.slowness])
        if self.rng.random() < (0.9 if self.theme == "events" and name == "route" else 0.5):
            task.hold_at = self.rng.randint(2, 10)
        if not self.is_calm and self.rng.random() < _FAULTS.get(name, 0.4):
            if self.habits.losses > 0 and self.rng.random() < 0.7:
                self.habits.losses -= 1
                task.fuse_kind = "death"
                if self.rng.random() < 0.5:
                    task.aim = self.rng.choice(_points_of(name))
                else:
                    task.fuse = self.rng.randint(1, 50)
            elif self.habits.errors > 0:
                self.habits.errors -= 1
                task.fuse_kind = "error"
                task.fuse = self.rng.randint(1, 50)
        self.tasks.append(task)
        self.counts["tasks"] += 1
        self._resume(task)

    def _resume(self, task: Task) -> None:
        task.is_held = False
        self.log(f"{task}: from {short(task.at)}")
        if not task.is_stale and task.tokens & self.audit.taken_over:
            task.is_stale = True
            self.counts["stale worker goes on"] += 1
        self.stage.crew.resume(task)
        if not task.is_over:
            return
        self.tasks.remove(task)
        self._end(task)

    def _end(self, task: Task) -> None:
        if task.fuse_kind == "death" and not task.is_killed:
            self.habits.losses += 1
        elif task.fuse_kind == "error" and not task.fault_fired:
            self.habits.errors += 1
        if task.process.is_dead:
            self._bury(task.process)
        error = task.error
        if error is None and task.is_stale:
            self.counts["stale worker is refused"] += 1
        if error is None and task.name in kinds.OF_TASKS:
            self.counts[kinds.OF_TASKS[task.name]] += 1
        if error is None or isinstance(error, Died | Rollback):
            return
        if isinstance(error, OperationalError) and task.fault_fired:
            return
        self.audit.complain(f"{task} raised {type(error).__name__}: {error}")

    def _bury(self, process: Process) -> None:
        """End everything that a dead process was doing, and start another in its place."""
        process.is_dead = True
        for task in [one for one in self.tasks if one.process is process]:
            task.is_killed = True
            self.tasks.remove(task)
            if task.has_begun:
                self.stage.crew.resume(task)
            if not isinstance(task.error, Died):
                self.audit.complain(f"{task} survived its death: {task.error!r}")
        if process is self.control:
            self.control = Process("control")
        elif process in self.processes:
            self.processes[self.processes.index(process)] = self._process()

    def _process(self) -> Process:
        self._born += 1
        return Process(f"w{self._born}")

    def _deliver(self, message: Message) -> None:
        if message.job_id == 0:
            self._begin("route", routing.route, self.control)
            return
        # A process runs one job at a time, seldom two (a pool of threads).
        free = [
            one
            for one in self.processes
            if self.rng.random() < 0.1 or not any(task.process is one for task in self.tasks)
        ]
        process = self.rng.choice(free or self.processes)
        job_id = message.job_id
        self._begin(f"job {job_id}", lambda: executor.execute(job_id), process)

    def _tick(self) -> None:
        self._begin("tick", recovery.tick, self.control)

    def _send(self, sending: Sending) -> None:
        self.sendings.remove(sending)
        event = IncomingEvent(name=sending.name, data=sending.data, id=sending.external_id)
        found: list[str] = []

        def work() -> None:
            if not sending.is_rolled_back and self.rng.random() < 0.5:
                found.extend(ingest.accept([event]))
                return
            with transaction.atomic():
                found.extend(ingest.accept([event]))
                if sending.is_rolled_back:
                    self.counts["event rolled back"] += 1
                    raise Rollback

        task = Task(f"send {sending.name} {sending.data}", work, Process("sender"))
        if not self.is_calm and self.habits.losses and self.rng.random() < 0.1:
            self.habits.losses -= 1
            task.fuse, task.fuse_kind = self.rng.randint(1, 10), "death"
        self.tasks.append(task)
        while task in self.tasks:
            # Somebody who sends one event after another.
            self._resume(task)
        if not sending.is_rolled_back and not set(found) & set(self.audit.accepted):
            self.sendings.append(sending)

    def _abandon(self) -> None:
        for task in list(self.tasks):
            task.is_killed = True
            self.tasks.remove(task)
            self.stage.crew.resume(task)
        self.stage.database.listener = None
        memo_cache._runs.clear()

    # State -------------------------------------------------------------------------------

    def _run_of(self, root: Root) -> str | None:
        rows = self._rows(
            "SELECT r.id FROM inngest_run r JOIN inngest_event e ON e.id = r.event_id"
            " WHERE e.external_id = ? ORDER BY r.id",
            f"root-{root.key}",
        )
        return rows[0][0] if rows else None

    def _is_over(self) -> bool:
        return not self._rows(
            "SELECT 1 FROM inngest_run WHERE status IN ('queued', 'running')"
            " UNION ALL SELECT 1 FROM inngest_event WHERE routed_at IS NULL"
        )

    def _leftovers(self) -> str:
        runs = self._rows(
            "SELECT function_id, id, status FROM inngest_run WHERE status IN ('queued', 'running')"
        )
        jobs = self._rows("SELECT id, kind, run_id, available_at, note FROM inngest_job")
        events = self._rows("SELECT id, name FROM inngest_event WHERE routed_at IS NULL")
        return f"runs {runs}, jobs {jobs}, events {events}"

    # Small things ------------------------------------------------------------------------

    def _move(self, seconds: float) -> None:
        self.stage.move(self.stage.elapsed + seconds)


def _points_of(task: str) -> list[str]:
    """Return the named points that a task of this kind may come to."""
    kinds = {"route": ("stamp.", "route."), "tick": ("tick.",)}.get(task)
    others = ("tick.", "route.", "stamp.")
    # Few jobs come to these.
    rare = [
        n for n in crash_points.NAMES if n.startswith(("timer.", "checkpoint.", "transaction."))
    ]
    return [
        name
        for name in (*crash_points.NAMES, *rare, *rare)
        if (name.startswith(kinds) if kinds else not name.startswith(others))
    ]


def _moment(text: str) -> Any:
    from inngest_django.engine import transactions

    return transactions.as_moment(text)


def _seconds(seconds: float) -> Any:
    import datetime as dt

    return dt.timedelta(seconds=seconds)
