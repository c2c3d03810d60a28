"""What a session found, for people and for programs."""

from __future__ import annotations

import dataclasses
from collections import defaultdict

from inngest_django.testing.chaos.audit import Verdict
from inngest_django.testing.chaos.planning import KINDS, Fault


@dataclasses.dataclass(frozen=True, slots=True)
class Struck:
    """A fault that was made.

    Attributes:
        recovery: Seconds from its end until all that was due had moved; None when it did not.
    """

    fault: Fault
    recovery: float | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A session.

    Attributes:
        took: Seconds in which faults were made.
        restarts: Processes that ended by themselves and were started again.
        left_out: Faults that this stack cannot have, and why.
        counts: What the proxies forwarded and broke.
    """

    seed: int
    took: float
    is_interrupted: bool
    struck: tuple[Struck, ...]
    verdicts: tuple[Verdict, ...]
    events: int
    runs: int
    calls: int
    restarts: int
    left_out: str
    counts: dict[str, dict[str, int]]

    @property
    def is_good(self) -> bool:
        """Whether each promise was kept."""
        return all(verdict.is_kept for verdict in self.verdicts)

    def fault_rows(self) -> list[list[object]]:
        """Return a row for each kind of fault: name, what, how often, worst recovery."""
        times: dict[str, list[float | None]] = defaultdict(list)
        for one in self.struck:
            times[one.fault.kind.name].append(one.recovery)
        rows: list[list[object]] = []
        for kind in KINDS:
            if found := times.get(kind.name):
                known = [time for time in found if time is not None]
                worst = f"{max(known):.1f} s" if len(known) == len(found) else "never"
                rows.append([kind.name, kind.what, len(found), worst])
        return rows

    def verdict_rows(self) -> list[list[object]]:
        """Return a row for each promise: promise, cases, verdict."""
        return [
            [
                verdict.promise,
                verdict.checked,
                "kept" if verdict.is_kept else f"BROKEN {len(verdict.violations)} times",
            ]
            for verdict in self.verdicts
        ]

    def worst(self) -> float:
        """Return the slowest recovery that came."""
        return max((one.recovery for one in self.struck if one.recovery is not None), default=0.0)

    def as_dict(self) -> dict[str, object]:
        """Return it for programs."""
        return {
            "ok": self.is_good,
            "seed": self.seed,
            "seconds": round(self.took, 1),
            "is_interrupted": self.is_interrupted,
            "events": self.events,
            "runs": self.runs,
            "body_calls": self.calls,
            "restarts": self.restarts,
            "worst_recovery": round(self.worst(), 2),
            "left_out": self.left_out,
            "faults": [
                {
                    "number": one.fault.number,
                    "kind": one.fault.kind.name,
                    "seconds": one.fault.seconds,
                    "recovery": None if one.recovery is None else round(one.recovery, 2),
                }
                for one in self.struck
            ],
            "verdicts": [verdict.as_dict() for verdict in self.verdicts],
            "proxies": self.counts,
        }
