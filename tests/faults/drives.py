"""One drive: the mixed load sent, faults struck at it, and what became of it."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from django.db import InterfaceError, OperationalError, connections
from django.db.models import F

from inngest_django import Event
from inngest_django.models import Event as EventRow
from inngest_django.models import Run, Wait
from inngest_django.states import RUN_LIVE
from tests import ledger
from tests.faults import audit, load, recovery, verdicts
from tests.faults.recovery import Held, Metronome, Recovery
from tests.functional.support import describe, unique
from tests.processes import wait_until

if TYPE_CHECKING:
    from tests.faults.arena import Arena


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """How a load went.

    Attributes:
        took: Seconds from the first event to the last end.
        extra_calls: Bodies called again because a worker died in or after them.
        recoveries: One for each fault that cleared.
    """

    runs: tuple[Run, ...]
    took: float
    extra_calls: int
    restarts: int
    recoveries: tuple[Recovery, ...] = ()

    def __str__(self) -> str:
        text = (
            f"{len(self.runs)} runs in {self.took:.1f} s, {self.extra_calls} bodies called"
            f" again, {self.restarts} workers restarted"
        )
        if self.recoveries:
            text += f", {len(self.recoveries)} faults, worst recovery {self.worst:.1f} s"
        return text

    @property
    def worst(self) -> float:
        """The longest recovery in seconds."""
        return max((each.seconds for each in self.recoveries), default=0.0)


@dataclasses.dataclass(frozen=True, slots=True)
class Strike:
    """A fault, struck once so many results were recorded in this drive.

    Attributes:
        blow: Breaks something and mends it; what it returns has cleared.
    """

    after: int
    blow: Callable[[], object]


class Drive:
    """A load on its way.

    Attributes:
        probe: Runs while there are strikes.

    Args:
        sets: How many of each function.
        strikes: In the order of ``after``.
        bound: Seconds within which held work must move after each strike.
    """

    def __init__(
        self,
        arena: Arena,
        *,
        sets: int,
        strikes: Sequence[Strike] = (),
        bound: float = 0.0,
        probe: Metronome | None = None,
    ) -> None:
        self._arena = arena
        self._bound = bound
        self._strikes = list(strikes)
        self.probe = probe
        self._held: list[Held] = []
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

    def _send(self, *events: Event) -> None:
        for event_id in load.client.send_sync(list(events)):
            ledger.note(self._book, "accepted", event_id)

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
        problems = audit.check(runs)
        if Counter(run.function_id for run in runs) != self._wanted:
            problems.append(f"runs {Counter(run.function_id for run in runs)}, not {self._wanted}")
        recoveries = []
        if self.probe is not None:
            recoveries = [recovery.recovery(held, self.probe) for held in self._held]
            for each in recoveries:
                problems += each.problems(self._bound)
        if problems:
            raise AssertionError("\n".join([*problems, self._logs()]))
        report = Report(
            runs, took, audit.extra_calls(runs), self._arena.restarts, tuple(recoveries)
        )
        verdicts.note(
            faults=len(recoveries),
            runs=len(runs),
            extra_calls=report.extra_calls,
            recoveries=[each.seconds for each in recoveries],
        )
        return report

    def _look(self, meanwhile: Callable[[], None]) -> bool:
        self._arena.ensure_worker()
        meanwhile()
        try:
            return self._is_over()
        except (OperationalError, InterfaceError):
            # The database is what broke; those who look at it come back as it does.
            connections["default"].close()
            return False

    def _is_over(self) -> bool:
        if self._strikes and self._count_recorded() - self._recorded >= self._strikes[0].after:
            strike = self._strikes.pop(0)
            strike.blow()
            connections["default"].close()
            self._held.append(recovery.cleared())
        while self._late and self._waits_for(self._late[0]):
            # An answer that was accepted unheard is sent again, and is the same fact.
            self._send(_answer(self._late[0]))
            self._late.pop(0)
        problems = audit.unsound()
        if problems:
            raise AssertionError("; ".join(problems))
        runs = self._runs()
        return (
            not self._strikes
            and not self._late
            and not self._unrouted()
            and Counter(runs.values_list("function_id", flat=True)) >= self._wanted
            # Last: a run of these may have begun while the others were asked for.
            and not runs.filter(status__in=RUN_LIVE).exists()
        )

    def _unrouted(self) -> list[object]:
        accepted = self.accepted
        routed = EventRow.objects.filter(id__in=accepted, routed_at__isnull=False)
        return sorted(set(accepted) - set(routed.values_list("id", flat=True)))

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
        lines = [f"{len(self._strikes)} strikes to come", f"not routed: {self._unrouted()}"]
        return "\n".join([*lines, *(describe(run) for run in stuck), self._logs()])

    def _logs(self) -> str:
        return "\n".join(
            f"--- {name}\n" + "\n".join(text.splitlines()[-60:])
            for name, text in self._arena.stack.logs()
        )


def _answer(key: str) -> Event:
    return Event(id=key, name="faults/answered", data={"key": key, "text": "yes"})
