"""Known mistakes: the engine with one of its rules taken out, at run time.

Each says which row of the protocol's table it is, where it has one. The simulation must find
them; a net that catches none of these would prove nothing by catching none at all.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from inngest_django.engine import (
    crash_points,
    executor,
    hints,
    hot_path,
    matching,
    memo_cache,
    outcomes,
    pieces,
    planning,
    retries,
    routing,
    stamping,
    timers,
    transactions,
    waits,
)
from inngest_django.engine.leases import Lease
from inngest_django.models import Event, Run, Wait, WaitStatus
from inngest_django.states import JobKind, StepStatus
from tests.simulation.stage import Stage

Apply = Callable[[pytest.MonkeyPatch, Stage], None]


@dataclasses.dataclass(frozen=True)
class Mistake:
    """One rule less.

    Attributes:
        row: In the protocol's table of rules, 0 for one that has no row.
        within: How many schedules the simulation may need; 0 where it is blind to it.
        elsewhere: The test that makes it, and sees the promise break, where the simulation is
            blind to it.
        theme: The only schedules that are tried, when the others would take too long.
        first_seed: Where the hunt begins: one schedule in hundreds shows the rarest ones.
    """

    name: str
    row: int
    apply: Apply
    within: int
    elsewhere: str = ""
    theme: str = ""
    first_seed: int = 1


ALL: list[Mistake] = []


def mistake(
    name: str,
    *,
    row: int = 0,
    within: int = 500,
    elsewhere: str = "",
    theme: str = "",
    first_seed: int = 1,
) -> Callable[[Apply], Apply]:
    def add(apply: Apply) -> Apply:
        ALL.append(Mistake(name, row, apply, within, elsewhere, theme, first_seed))
        return apply

    return add


@contextlib.contextmanager
def made(chosen: Mistake, stage: Stage) -> Iterator[None]:
    """Make a mistake inside the block."""
    with pytest.MonkeyPatch.context() as patch:
        chosen.apply(patch, stage)
        yield


def line(mistake: Mistake, caught: Any) -> str:
    """Return one line of the table: the mistake, and which layer catches it."""
    row = f"row {mistake.row}" if mistake.row else ""
    found = layer_of(mistake.elsewhere)
    if caught is not None:
        found += f", {caught.schedules} schedules (seed {caught.seed}): {caught.problem}"
    elif mistake.within:
        found = f"NOT FOUND in {mistake.within} schedules"
    else:
        found += f": {mistake.elsewhere}"
    return f"{mistake.name:55} {row:7} {found[:150]}"


def layer_of(test: str) -> str:
    """Return which of the three layers a test belongs to; the simulation has no test named."""
    if not test or test.startswith("tests/simulation/"):
        return "simulation"
    return "two connections" if test.startswith("tests/concurrency/") else "engine test"


def named(name: str) -> Mistake:
    """Return the mistake of that name."""
    return next(one for one in ALL if one.name == name)


def _everywhere(patch: pytest.MonkeyPatch, name: str, old: Any, new: Any) -> None:
    """Replace a function also where it was imported by name."""
    count = 0
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("inngest_django.engine") and getattr(module, name, 0) is old:
            patch.setattr(module, name, new)
            count += 1
    if count == 0:
        raise AssertionError(f"no module of the engine has {name}: the mistake changes nothing")


# Leases -----------------------------------------------------------------------------------


@mistake("drop the token check")
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    patch.setattr(hot_path, "holds_lease", lambda *_: True)


@mistake("skip the lease check before the body", row=18, theme="stalls")
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    patch.setattr(Lease, "is_alive", lambda self: True)


@mistake("release a lease twice")
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    execute = executor.execute

    def twice(job_id: int) -> None:
        execute(job_id)
        with transactions.write() as cursor:
            cursor.execute(
                "UPDATE inngest_job SET lease_token = NULL, leased_until = NULL WHERE id = %s",
                (job_id,),
            )

    patch.setattr(executor, "execute", twice)


@mistake("turn the settled piece's job into the entry", row=8)
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    settle = pieces.settle

    def reuse(cursor: Any, run: Any, **values: Any) -> Any:
        old = values["job_id"]
        cursor.execute("SELECT lease_token, leased_until FROM inngest_job WHERE id = %s", (old,))
        [token, until] = cursor.fetchone() or (None, None)
        found = settle(cursor, run, **values)
        for hint in found:
            cursor.execute(
                "UPDATE inngest_job SET id = %s, lease_token = %s, leased_until = %s WHERE id = %s",
                (old, token, until, hint.job_id),
            )
        return [dataclasses.replace(hint, job_id=old) for hint in found]

    patch.setattr(pieces, "settle", reuse)


@mistake("end a piece at its first lost lease", row=20)
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    patch.setattr(executor, "_MAX_ENTRY_LOSSES", 1)
    patch.setattr(retries, "is_lost_for_good", lambda *, loss_count, **_: loss_count > 0)


@mistake(
    "do not bound how often an entry is lost",
    within=0,
    elsewhere="tests/engine/test_protocol.py::"
    "test_function_code_that_kills_its_workers_kills_them_for_ever_without_a_bound",
)
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    patch.setattr(executor, "_MAX_ENTRY_LOSSES", 10**9)


# Hints ------------------------------------------------------------------------------------


@mistake("publish before the commit")
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    def at_once(found: Any) -> None:
        if found:
            hints._publish(found)

    _everywhere(patch, "execute_after_commit", hints.execute_after_commit, at_once)


@mistake("trust that the first hint arrives")
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    insert = hot_path.insert_job

    def insert_job(cursor: Any, **values: Any) -> Any:
        job_id = insert(cursor, **values)
        cursor.execute(
            "UPDATE inngest_job SET next_hint_at = '2040-01-01 00:00:00.000000' WHERE id = %s",
            (job_id,),
        )
        return job_id

    patch.setattr(hot_path, "insert_job", insert_job)


# Joins ------------------------------------------------------------------------------------


@mistake("decide the join outside the lock", row=11, theme="joins")
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    report, decide = outcomes.report, hot_path.must_enter

    def early(leased: Any, response: Any, *, max_attempts: int) -> Any:
        with transactions.connection().cursor() as cursor:
            cursor.execute(
                "SELECT NOT EXISTS (SELECT 1 FROM inngest_job WHERE run_id = %s"
                " AND kind <> 'enter' AND id <> %s) OR EXISTS (SELECT 1 FROM inngest_job j"
                " JOIN inngest_step s ON s.id = j.step_id WHERE j.run_id = %s"
                " AND s.mode = 'race')",
                (leased.run_id, leased.job_id, leased.run_id),
            )
            decided[stage.crew.current] = bool(cursor.fetchone()[0])
        return report(leased, response, max_attempts=max_attempts)

    def must_enter(cursor: Any, run_id: str) -> bool:
        known = decided.get(stage.crew.current)
        return decide(cursor, run_id) if known is None else known

    decided: dict[Any, bool] = {}
    patch.setattr(outcomes, "report", early)
    patch.setattr(hot_path, "must_enter", must_enter)


@mistake("settle without a new revision", row=14)
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    def bump(cursor: Any, run_id: str) -> int:
        cursor.execute("SELECT revision FROM inngest_run WHERE id = %s", (run_id,))
        return int(cursor.fetchone()[0])

    patch.setattr(hot_path, "bump", bump)


@mistake("enter only when a race has no loser left", row=15)
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    def must_enter(cursor: Any, run_id: str) -> bool:
        cursor.execute(
            "SELECT NOT EXISTS (SELECT 1 FROM inngest_job WHERE run_id = %s AND kind <> 'enter')",
            (run_id,),
        )
        return bool(cursor.fetchone()[0])

    patch.setattr(hot_path, "must_enter", must_enter)


@mistake("resolve results in the order of the code", row=16, theme="races")
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    memo = memo_cache._memo
    patch.setattr(memo_cache, "_memo", lambda step, _, output: memo(step, 0, output=output))


@mistake("plan what has a row", row=17)
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    step_class, driver = planning.Step, executor.driver

    class Forgetful:
        """Says of every row that its step may be planned."""

        def filter(self, **values: Any) -> Any:
            rows = step_class.objects.filter(**values)
            if "hashed_id__in" not in values:
                return rows
            found = list(rows)
            for row in found:
                row.status = StepStatus.CANCELLED
            return _Found(found)

        def __getattr__(self, name: str) -> Any:
            return getattr(step_class.objects, name)

    class Steps:
        objects = Forgetful()

        def __new__(cls, **values: Any) -> Any:
            return step_class(**values)

    class Driver:
        def call(self, function: Any, request: Any) -> Any:
            return driver.call(function, dataclasses.replace(request, pending=frozenset()))

    patch.setattr(planning, "Step", Steps)
    patch.setattr(executor, "driver", Driver())


class _Found(list[Any]):
    def only(self, *_: Any) -> Any:
        return self


@mistake("end an entry over older results", row=21, theme="joins", first_seed=9000)
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    write = outcomes._write_plan

    def _write_plan(claim: Any, ops: Any) -> None:
        claim.leased = dataclasses.replace(claim.leased, revision=claim.run.revision)
        write(claim, ops)

    patch.setattr(outcomes, "_write_plan", _write_plan)


# Waits and events ---------------------------------------------------------------------------


@mistake("leave wait keys behind")
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    def close_waits(wait_ids: Any, *, status: WaitStatus, now: Any) -> None:
        Wait.objects.filter(pk__in=wait_ids, status=WaitStatus.OPEN).update(
            status=status, closed_at=now
        )

    patch.setattr(pieces, "close_waits", close_waits)


@mistake(
    "scan waits before the event commits",
    row=1,
    # SQLite has no event that is stamped and not yet committed.
    within=0,
    elsewhere="tests/concurrency/test_events_and_waits.py::"
    "test_event_whose_waits_are_scanned_before_its_place_is_committed_is_lost",
)
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    def route() -> int:
        batch = list(Event.objects.filter(routed_at__isnull=True).order_by("id")[:100])
        last = waits.current_floor(transactions.connection().cursor())
        for event in batch:
            if event.seq is None:
                last += 1
                event.seq = last
        matching.settle_waits(batch)
        crash_points.reach("route.settle_committed")
        stamping.stamp()
        return routing._start(batch)

    patch.setattr(routing, "route", route)
    # The wait's own stamping would repair it, as long as the router's is not in the way.
    patch.setattr(timers, "stamping", _NoStamping)


@mistake("do not stamp before a wait looks for events", row=10, theme="time-outs")
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    patch.setattr(timers, "stamping", _NoStamping)


@mistake("let an event act that lost its place to a crash of the server", theme="events")
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    def lock(batch: Any) -> list[Event]:
        return list(Event.objects.filter(pk__in=[e.pk for e in batch], routed_at=None))

    patch.setattr(routing, "_lock_unrouted", lock)


class _NoStamping:
    @staticmethod
    def stamp() -> int:
        return 0


class _Instead:
    """A module with other things under some of its names, for one of those that use it."""

    def __init__(self, module: Any, **names: Any) -> None:
        self._module = module
        self.__dict__.update(names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


@mistake("do not look for what came before a wait", row=1)
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    find = waits.find_event

    def find_event(wait: Any, *, own_ids: Any) -> Any:
        expired = wait.expires_at <= transactions.now()
        return find(wait, own_ids=own_ids) if expired else None

    patch.setattr(waits, "find_event", find_event)


@mistake("let a time-out win before it looks for events", row=10, theme="time-outs")
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    settle = timers._ACTIONS[JobKind.WAIT]

    def _settle_wait(cursor: Any, run: Any, job: Any) -> Any:
        wait = Wait.objects.get(step_id=job.step_id, status=WaitStatus.OPEN)
        if wait.expires_at is not None and wait.expires_at <= run.now:
            pieces.close_waits([wait.pk], status=WaitStatus.TIMED_OUT, now=run.now)
            return timers._settle(cursor, run, job, status=StepStatus.TIMED_OUT)
        return settle(cursor, run, job)

    patch.setitem(timers._ACTIONS, JobKind.WAIT, _settle_wait)


@mistake(
    "time a wait out as of a moment after its worker looked for events",
    row=10,
    # Schedules in which the worker stalls right there, over the expiry, are too rare.
    within=0,
    elsewhere="tests/engine/test_stalled_wait.py::"
    "test_an_event_of_that_time_loses_to_a_time_out_as_of_after_the_stall",
)
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    patch.setattr(timers, "dataclasses", _Instead(dataclasses, replace=lambda run, **_: run))


@mistake("do not compare a run's cancel rules at its first entry", row=4)
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    def scan_rules(run_id: str) -> bool:
        Run.objects.filter(pk=run_id).update(has_unscanned_rules=False)
        return True

    patch.setattr(timers, "scan_rules", scan_rules)


@mistake("begin an invoked run at a place that is not given yet", row=2)
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    ahead = _Instead(waits, current_floor=lambda cursor: waits.current_floor(cursor) + 1)
    patch.setattr(planning, "waits", ahead)


@mistake("begin a wait at what is committed when it is stored", row=22)
def _(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    floor = waits.lookback_floor

    def lookback_floor(run: Run, *, lookback: Any, now: Any, floor_seq: int) -> int:
        if lookback is not None:
            return floor(run, lookback=lookback, now=now, floor_seq=floor_seq)
        return waits.current_floor(transactions.connection().cursor())

    patch.setattr(waits, "lookback_floor", lookback_floor)
