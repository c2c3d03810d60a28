"""Which faults come when. The same seed gives the same plan."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence
from typing import Literal

Target = Literal["process", "message", "database", "broker"]


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault.

    Attributes:
        seconds: How long it lasts at least and at most.
        past_lease: These seconds are beyond the lease.
    """

    name: str
    target: Target
    what: str
    seconds: tuple[float, float] = (0.0, 0.0)
    past_lease: bool = False


KINDS = (
    Kind("kill_child", "process", "kill -9 one pool child of a worker"),
    Kind("kill_main", "process", "kill -9 a worker's main process alone"),
    Kind("kill_worker", "process", "kill -9 a worker with its children, start another"),
    Kind("stop_child", "process", "SIGSTOP a pool child past its lease", (0.5, 2), past_lease=True),
    Kind("stop_worker", "process", "SIGSTOP a worker past its leases", (0.5, 2), past_lease=True),
    Kind("restart_worker", "process", "SIGTERM a worker, short grace, start another", (0.2, 1)),
    Kind("stop_beats", "process", "stop all beats for a while", (2, 5)),
    Kind("more_beats", "process", "run two further beats", (2, 4)),
    Kind("lose_hints", "message", "what is published never arrives", (1, 3)),
    Kind("repeat_hints", "message", "each message comes five times", (2, 4)),
    Kind("database_cut", "database", "reset all database connections"),
    Kind("database_refuse", "database", "reset them and refuse new ones", (1, 4)),
    Kind("database_hang", "database", "the database does not answer", (1, 5)),
    Kind("database_delay", "database", "the database answers seconds late", (2, 4)),
    Kind("commit_unknown", "database", "replies to COMMIT are lost", (2, 3)),
    Kind("broker_cut", "broker", "reset all broker connections"),
    Kind("broker_refuse", "broker", "reset them and refuse new ones", (1, 4)),
    Kind("broker_hang", "broker", "the broker does not answer", (1, 5)),
    Kind("broker_delay", "broker", "the broker answers seconds late", (2, 4)),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a plan.

    Attributes:
        seconds: How long it lasts.
        pause: Seconds of peace before it.
        choice: From 0 to 1: picks the victim, or how much.
    """

    number: int
    kind: Kind
    seconds: float
    pause: float
    choice: float


def plan(seed: int, kinds: Sequence[Kind], *, lease: float) -> Iterator[Fault]:
    """Yield faults without end: all kinds in some order, then again in another."""
    source = random.Random(seed)  # noqa: S311 - to be repeatable is the point
    number = 0
    while True:
        for kind in source.sample(kinds, len(kinds)):
            least, most = kind.seconds
            seconds = source.uniform(least, most) + (lease if kind.past_lease else 0)
            number += 1
            yield Fault(
                number,
                kind,
                round(seconds, 2),
                round(source.uniform(0.3, 1.5), 2),
                round(source.random(), 3),
            )


def kinds_for(*, has_database_proxy: bool) -> tuple[Kind, ...]:
    """Return the kinds that a stack can have; SQLite has no connections to break."""
    return tuple(kind for kind in KINDS if kind.target != "database" or has_database_proxy)
