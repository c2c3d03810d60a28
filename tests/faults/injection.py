"""What a worker under test does to itself.

Imported by the test modules, hence by every worker of the tests; without the variables below
in its environment it does nothing.

* ``INNGEST_TEST_FAULTS`` names a folder. A process that reaches a named point of
  ``engine.crash_points`` looks there for a file of that name and, if it is the one that takes
  it away, kills itself. The test arms a point by making the file. Or it waits there until the
  test has done what it wants to do at that moment.
* ``INNGEST_TEST_HINTS`` is ``drop`` (what the engine publishes after its commits vanishes,
  the tick's own hints do not), ``triple``, or ``late`` (each hint ten times, out of order,
  each up to three seconds late). ``INNGEST_TEST_HINTS_FILE`` gets a letter for each.
* ``INNGEST_TEST_SKEW`` is by how many seconds this host's clock is wrong.
* ``INNGEST_TEST_MISTAKE`` takes a rule out of the engine, to show that the checker notices:
  ``lease`` (jobs are taken whoever holds them) or ``enter`` (no entry follows a step).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from inngest_django.dispatch import publisher
from inngest_django.engine import crash_points, hints, hot_path, pieces
from inngest_django.engine.hints import JobHint, Publisher
from inngest_django.engine.hot_path import leasing

FOLDER = "INNGEST_TEST_FAULTS"
HINTS = "INNGEST_TEST_HINTS"
HINTS_FILE = "INNGEST_TEST_HINTS_FILE"
# Letters of that file: a hint that was given, one that was lost, a message late by so much.
GIVEN, LOST, DELIVERED = b"g", b"l", b"d"
MISTAKE = "INNGEST_TEST_MISTAKE"
SKEW = "INNGEST_TEST_SKEW"


def arm(folder: Path, point: str, *, after: int = 0) -> None:
    """Let the next process that reaches a point die there, once so many have passed it."""
    if point not in crash_points.NAMES:
        raise AssertionError(f"{point!r} is no crash point; those are {crash_points.NAMES}.")
    for number in range(after):
        (folder / f"pass.{point}.{number}").touch()
    (folder / f"armed.{point}").touch()


def hold(folder: Path, point: str) -> None:
    """Let the next process that reaches a point wait there."""
    (folder / f"hold.{point}").touch()


def is_held(folder: Path, point: str) -> bool:
    """Return whether one waits there."""
    return bool(list(folder.glob(f"held.{point}.*")))


def let_go(folder: Path, point: str) -> None:
    """Let whoever waits there go on."""
    for path in [*folder.glob(f"held.{point}.*"), *folder.glob(f"hold.{point}")]:
        path.unlink(missing_ok=True)


def disarm(folder: Path) -> list[str]:
    """Take back what nobody has reached, and forget who was hit; returns the points left."""
    left = sorted(folder.glob("armed.*"))
    for kind in ("armed", "pass", "hold", "held", "hit"):
        for path in folder.glob(f"{kind}.*"):
            path.unlink(missing_ok=True)
    return [path.name.removeprefix("armed.") for path in left]


def hits(folder: Path) -> dict[str, tuple[int, float]]:
    """Return which points killed a process: its pid, and when by the host's clock, last."""
    found: dict[str, tuple[int, float]] = {}
    for path in folder.glob("hit.*"):
        point, _, pid = path.name.removeprefix("hit.").rpartition(".")
        at = path.stat().st_ctime
        if point not in found or found[point][1] < at:
            found[point] = (int(pid), at)
    return found


def _write(letters: bytes) -> None:
    with open(os.environ[HINTS_FILE], "ab", buffering=0) as file:
        file.write(letters)


def _published(found: Sequence[JobHint]) -> list[JobHint]:
    # Later ones are the tick's.
    return [hint for hint in found if hint.delay <= publisher.LONGEST_DELAY]


class _Tripling:
    """A broker that delivers each message three times."""

    def __init__(self, inner: Publisher) -> None:
        self._inner = inner

    def execute(self, found: Sequence[JobHint]) -> bool:
        was_sent = self._inner.execute([hint for hint in found for _ in range(3)])
        if was_sent:
            _write(GIVEN * len(_published(found)))
        return was_sent

    def route(self) -> bool:
        self._inner.route()
        self._inner.route()
        return self._inner.route()

    def prune(self, number: int) -> bool:
        return self._inner.prune(number)

    def waiting(self, queue: str) -> int:
        return self._inner.waiting(queue)


class _Late:
    """A broker that forgets what order is, and delivers each message ten times."""

    def __init__(self, inner: Publisher) -> None:
        self._inner = inner

    def execute(self, found: Sequence[JobHint]) -> bool:
        hurried = _published(found)
        _write(GIVEN * len(hurried))
        for hint in [hint for hint in hurried for _ in range(10)]:
            self._later(self._execute_late, [hint])
        return True

    def _execute_late(self, found: Sequence[JobHint]) -> None:
        if self._inner.execute(found):
            _write(DELIVERED)

    def route(self) -> bool:
        for _ in range(10):
            self._later(self._inner.route)
        return True

    def prune(self, number: int) -> bool:
        return self._inner.prune(number)

    def waiting(self, queue: str) -> int:
        return self._inner.waiting(queue)

    @staticmethod
    def _later(publish: Callable[..., object], *arguments: object) -> None:
        timer = threading.Timer(random.uniform(0, 3), publish, arguments)
        timer.daemon = True
        timer.start()


def _wait_where_held(folder: Path, point: str) -> None:
    mine = folder / f"held.{point}.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        (folder / f"hold.{point}").rename(mine)
        deadline = time.monotonic() + 30
        while mine.exists() and time.monotonic() < deadline:
            time.sleep(0.002)


def _act_at_named_points(folder: Path) -> None:
    def hook(point: str) -> None:
        _wait_where_held(folder, point)
        for allowed in folder.glob(f"pass.{point}.*"):
            with contextlib.suppress(FileNotFoundError):
                allowed.unlink()
                return
        try:
            # Only one process can rename it, so that only one dies.
            (folder / f"armed.{point}").rename(folder / f"hit.{point}.{os.getpid()}")
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    crash_points.install(hook)


def _take_whoever_holds_it() -> None:
    rule = "AND (lease_token IS NULL OR leased_until <= {now})"
    if rule not in leasing._LEASE:
        raise AssertionError("the lease's statement has changed")
    leasing._LEASE = leasing._LEASE.replace(rule, "")


def _never_enter() -> None:
    pieces.enter = lambda *_, **__: []
    hot_path.can_exchange = lambda: False


_BROKERS = {"triple": _Tripling, "late": _Late}
_MISTAKES = {"lease": _take_whoever_holds_it, "enter": _never_enter}


def _install() -> None:
    if os.environ.get(FOLDER):
        _act_at_named_points(Path(os.environ[FOLDER]))
    mode = os.environ.get(HINTS)
    if mode == "drop":
        hints._publish = lambda found: _write(LOST * len(found))
        hints._route = lambda: _write(LOST)
    elif mode in _BROKERS:
        hints.install(_BROKERS[mode](hints.install(hints._Nobody())))
    if os.environ.get(SKEW):
        import time_machine

        # Moves what tells the time of day, in this process and those it forks, and leaves the
        # monotonic clock and every wait alone; libfaketime makes waits longer, too.
        now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=float(os.environ[SKEW]))
        time_machine.travel(now, tick=True).start()
    if os.environ.get(MISTAKE):
        _MISTAKES[os.environ[MISTAKE]]()


_install()
