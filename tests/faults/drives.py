"""One drive: the mixed load sent, faults struck at it, and what became of it."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from django.db import InterfaceError, OperationalError, connections
from django.db.models import F

from inngest_django import Event, Function
from inngest_django.models import Event as EventRow
from inngest_django.models import Run, Wait
from inngest_django.states import RUN_LIVE
from tests import ledger
from tests.faults import audit, injection, load, recovery, verdicts
from tests.faults.recovery import Held, Metronome, Recovery
from tests.functional.support import describe, unique
from tests.processes import wait_until

if TYPE_CHECKING:
    from tests.faults.arena import Arena


class BrokenPromiseError(AssertionError):
    """The checker noticed something; says what."""


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """How a load went.

    Attributes:
        took: Seconds from the first event to the last end.
        extra_calls: Bodies called again because a worker died in or after them.
        faults: How many struck: strikes, points that were hit, and what was counted.
        hits: The points at which a process was killed.
        recoveries: One for each moment at which one of them had cleared.
    """

    runs: tuple[Run, ...]
    took: float
    extra_calls: int
    restarts: int
    faults: int
    hits: tuple[str, ...]
    recoveries: tuple[Recovery, ...] = ()

    def __str__(self) -> str:
        text = (
            f"{len(self.runs)} runs in {self.took:.1f} s, {self.extra_calls} bodies called"
            f" again, {self.restarts} workers restarted"
        )
        if self.recoveries:
            text += f", {self.faults} faults, worst recovery {self.worst:.1f} s"
        return text

    @property
    def worst(self) -> float:
        """The longest recovery in seconds."""
        return max((each.seconds for each in self.recoveries), default=0.0)


@dataclasses.dataclass(frozen=True, slots=True)
class Strike:
    """A fault, struck once so many results were recorded in this drive.

    Attributes:
        blow: Breaks something and mends it. What is held when it returns must move; if it
            returns what was held at an earlier moment, that must.
        faults: How many it is; 0 for a look at what is held under a fault that lasts.
    """

    after: int
    blow: Callable[[], object] = lambda: None
    faults: int = 1


class Drive:
    """A load on its way.

    Attributes:
        probe: Counts the time that recoveries take.

    Args:
        sets: How many of each function.
        strikes: In the order of ``after``.
        bound: Seconds within which held work must move after each fault.
        count: How many faults have struck that are no strikes.
    """

    def __init__(
        self,
        arena: Arena,
        *,
        sets: int,
        strikes: Sequence[Strike],
        bound: float,
        probe: Metronome,
        count: Callable[[], int],
    ) -> None:
        self._arena = arena
        self._bound = bound
        self._strikes = list(strikes)
        self.probe = probe
        self._held: list[Held] = []
        self._struck = 0
        self._count, self._counted = count, 0
        self._hits: list[tuple[str, int]] = []
        self._book = unique("drive")
        self._late: list[str] = []
        self._wanted: Counter[str] = Counter()
        self._before = set(arena.all_runs().values_list("id", flat=True))
        self._recorded = self._count_recorded()
        self._started = time.monotonic()
        for _ in range(sets):
            self.send_set()

    def send_set(self) -> None:
        """Send one event of each kind; what is accepted goes down in the ledger.

        Two waiters: the answer of one is there before it asks, the other's comes after.
        """
        early, key = unique("key"), unique("key")
        self._send(*(Event(name=name, data={"key": key}) for name in load.MIXED))
        self._send(Event(name="faults/waiter", data={"key": early}), _answer(early))
        self._late.append(key)
        self._wanted.update(list(load.OUTCOMES))
        self._wanted["faults-waiter"] += 1

    def start(self, function: Function[Any], count: int, **data: object) -> list[Run]:
        """Start one function so many times; returns its runs when they exist."""
        name = str(function.triggers[0].event)  # type: ignore[union-attr]
        ids = self._send(*(Event(name=name, data=data) for _ in range(count)))
        self._wanted[function.id] += count
        started = Run.objects.filter(event_id__in=ids).order_by("id")

        def have_begun() -> bool:
            self._arena.ensure_worker()
            return started.count() == count

        wait_until(have_begun, what=f"{count} runs of {function.id}")
        return list(started)

    def _send(self, *events: Event) -> list[str]:
        ids = load.client.send_sync(list(events))
        for event_id in ids:
            ledger.note(self._book, "accepted", event_id)
        return ids

    @property
    def accepted(self) -> list[Any]:
        """The ids that a sender was given, by the ledger."""
        return [note.value for note in ledger.notes(self._book, "accepted")]

    def finish(self, timeout: float, meanwhile: Callable[[], None]) -> Report:
        """Return when all have ended and every promise was checked."""
        wait_until(
            lambda: self._look(meanwhile), timeout, what="end of the load", explain=self._explain
        )
        took = time.monotonic() - self._started
        runs = tuple(self._runs().order_by("id"))
        problems = self.problems(runs)
        recoveries = tuple(recovery.recovery(held, self.probe) for held in self._held)
        for each in recoveries:
            problems += each.problems(self._bound)
        if problems:
            raise BrokenPromiseError("\n".join([*problems, self._logs()]))
        report = Report(
            runs=runs,
            took=took,
            extra_calls=audit.extra_calls(runs),
            restarts=self._arena.restarts,
            faults=self._struck + len(self._hits) + self._counted,
            hits=tuple(point for point, _ in self._hits),
            recoveries=recoveries,
        )
        verdicts.note(
            faults=report.faults,
            runs=len(runs),
            extra_calls=report.extra_calls,
            recoveries=[each.seconds for each in recoveries],
        )
        return report

    def _look(self, meanwhile: Callable[[], None]) -> bool:
        try:
            self._note_faults()
        except (OperationalError, InterfaceError):
            connections["default"].close()
        self._arena.ensure_worker()
        meanwhile()
        try:
            return self._is_over()
        except (OperationalError, InterfaceError):
            # The database is what broke; those who look at it come back as it does.
            connections["default"].close()
            return False

    def _note_faults(self) -> None:
        for point, (pid, at) in injection.hits(self._arena.folder).items():
            if (point, pid) not in self._hits:
                self._held.append(recovery.cleared(at))
                self._hits.append((point, pid))
        if (count := self._count()) > self._counted:
            self._held.append(recovery.cleared())
            self._counted = count

    def _is_over(self) -> bool:
        if self._strikes and self._count_recorded() - self._recorded >= self._strikes[0].after:
            strike = self._strikes.pop(0)
            held = strike.blow()
            connections["default"].close()
            self._held.append(held if isinstance(held, Held) else recovery.cleared())
            self._struck += strike.faults
        while self._late and self._waits_for(self._late[0]):
            # An answer that was accepted unheard is sent again, and is the same fact.
            self._send(_answer(self._late[0]))
            self._late.pop(0)
        problems = audit.unsound()
        if problems:
            raise BrokenPromiseError("; ".join(problems))
        runs = self._runs()
        return (
            not self._strikes
            and not self._late
            and not self.unrouted()
            and Counter(runs.values_list("function_id", flat=True)) >= self._wanted
            # Last: a run of these may have begun while the others were asked for.
            and not runs.filter(status__in=RUN_LIVE).exists()
        )

    def problems(self, runs: Sequence[Run]) -> list[str]:
        """Return each promise that was broken, but that of the bound."""
        problems = audit.check(runs)
        started = Counter(run.function_id for run in runs)
        if started != self._wanted:
            problems.append(f"runs {started}, not {self._wanted}")
        problems += [f"{event_id} was not routed" for event_id in self.unrouted()]
        for run in runs:
            if run.function_id == "faults-parent":
                problems += _announcements(run)
        return problems

    def unrouted(self) -> list[str]:
        """Return the ids of events that were accepted, or sent by a step, and not routed."""
        accepted = set(self.accepted)
        routed = EventRow.objects.filter(id__in=accepted, routed_at__isnull=False)
        lost = accepted - set(routed.values_list("id", flat=True))
        stored = EventRow.objects.filter(name__startswith="faults/", routed_at=None)
        return sorted(lost | set(stored.values_list("id", flat=True)))

    def _runs(self) -> Any:
        return self._arena.all_runs().exclude(id__in=self._before)

    @staticmethod
    def _count_recorded() -> int:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM fault_recorded")
            return int(cursor.fetchone()[0])

    @staticmethod
    def _waits_for(key: str) -> bool:
        # One whose job has looked at what came before, and now sleeps until its expiry: the
        # router is left to find this answer.
        return Wait.objects.filter(
            event_name="faults/answered",
            status="open",
            run__event__data__contains=key,
            step__job__available_at=F("expires_at"),
        ).exists()

    def _explain(self) -> str:
        stuck = self._runs().filter(status__in=RUN_LIVE)
        lines = [f"{len(self._strikes)} strikes to come", f"not routed: {self.unrouted()}"]
        return "\n".join([*lines, *(describe(run) for run in stuck), self._logs()])

    def _logs(self) -> str:
        return "\n".join(
            f"--- {name}\n" + "\n".join(text.splitlines()[-60:])
            for name, text in self._arena.stack.logs()
        )


def _announcements(run: Run) -> list[str]:
    stored = EventRow.objects.filter(name="faults/announced", data__contains=run.id)
    ids = [event.id for event in stored]
    given = run.steps.get(name="announce").output
    return [] if ids == given and len(ids) == 1 else [f"{run.id} announced {ids}, not {given}"]


def _answer(key: str) -> Event:
    return Event(id=key, name="faults/answered", data={"key": key, "text": "yes"})
