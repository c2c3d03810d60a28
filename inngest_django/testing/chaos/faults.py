"""How each kind of fault is made, and taken back."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from inngest_django.testing.chaos import apps, handover
from inngest_django.testing.chaos.ledger import Ledger
from inngest_django.testing.chaos.planning import Fault
from inngest_django.testing.chaos.processes import Process, Processes
from inngest_django.testing.proxy import Proxy

_SLOWEST = 0.8  # Seconds in each direction.
_PATIENCE = 3.0  # Seconds for which a body is waited for.
_GLANCE = 0.005
_SPREAD = 5  # Bodies among which one is chosen.


class Faults:
    """Makes one fault at a time.

    Args:
        wait: Waits so many seconds, keeping alive what should live.
    """

    def __init__(
        self,
        processes: Processes,
        proxies: dict[str, Proxy],
        folder: str,
        wait: Callable[[float], None],
    ) -> None:
        self._processes = processes
        self._proxies = proxies
        self._folder = folder
        self._wait = wait
        self._ledger = Ledger(handover.ledger(folder))
        self._pause = threading.Event()
        self._beats = len(processes.beats)

    def apply(self, fault: Fault) -> None:
        """Break something, and return when it is whole again."""
        target, _, how = fault.kind.name.partition("_")
        try:
            if target in ("database", "broker"):
                self._break(self._proxies[target], how, fault)
            else:
                getattr(self, f"_{fault.kind.name}")(fault)
        finally:
            self.heal()

    def heal(self) -> None:
        """Take back whatever is broken."""
        for proxy in self._proxies.values():
            proxy.heal()
        for name in (apps.LOSE, apps.REPEAT):
            Path(handover.flag(self._folder, name)).unlink(missing_ok=True)
        for worker in self._processes.workers:
            worker.signal(signal.SIGCONT, group=True)
        self._processes.stop_beats(keep=self._beats)
        while len(self._processes.beats) < self._beats:
            self._processes.add_beat()

    # Connections -----------------------------------------------------------------------

    def _break(self, proxy: Proxy, how: str, fault: Fault) -> None:
        if how == "hang":
            proxy.hang()
        elif how == "delay":
            proxy.delay(fault.choice * _SLOWEST, (1 - fault.choice) * _SLOWEST)
        else:
            if how == "refuse":
                proxy.refuse()
            proxy.cut()
        self._wait(fault.seconds)

    def _commit_unknown(self, fault: Fault) -> None:
        self._proxies["database"].drop_reply(b"COMMIT", times=3, after=round(fault.choice * 10))
        self._wait(fault.seconds)

    # Messages --------------------------------------------------------------------------

    def _lose_hints(self, fault: Fault) -> None:
        Path(handover.flag(self._folder, apps.LOSE)).touch()
        self._wait(fault.seconds)

    def _repeat_hints(self, fault: Fault) -> None:
        Path(handover.flag(self._folder, apps.REPEAT)).touch()
        self._wait(fault.seconds)

    # Processes -------------------------------------------------------------------------

    def _victim(self, fault: Fault) -> Process:
        workers = self._processes.workers
        return workers[int(fault.choice * len(workers)) % len(workers)]

    def _busy(self, fault: Fault) -> tuple[Process, int | None]:
        """Return a child that has just begun a body, and its worker; else any.

        Which body follows from the plan's choice; it is in the ledger a moment after it began,
        so that the child is hit in it, or in the commit that follows.
        """
        start, left = self._ledger.size(), _PATIENCE
        while left > 0:
            begun = [note for note in self._ledger.notes(start) if note.what.startswith("begin ")]
            if len(begun) > fault.choice * _SPREAD:
                pid = begun[-1].pid
                for worker in self._processes.workers:
                    if pid in worker.children():
                        return worker, pid
            self._pause.wait(_GLANCE)
            left -= _GLANCE
        victim = self._victim(fault)
        return victim, next(iter(victim.children()), None)

    def _kill_child(self, fault: Fault) -> None:
        _signal(self._busy(fault)[1], signal.SIGKILL)

    def _kill_main(self, fault: Fault) -> None:
        victim, _ = self._busy(fault)
        victim.signal(signal.SIGKILL)
        self._wait(0.5)
        if victim in self._processes.workers:
            self._processes.replace(victim)

    def _kill_worker(self, fault: Fault) -> None:
        self._processes.replace(self._busy(fault)[0])

    def _restart_worker(self, fault: Fault) -> None:
        self._processes.replace(self._busy(fault)[0], grace=fault.seconds)

    def _stop_child(self, fault: Fault) -> None:
        _, child = self._busy(fault)
        _signal(child, signal.SIGSTOP)
        self._wait(fault.seconds)
        _signal(child, signal.SIGCONT)

    def _stop_worker(self, fault: Fault) -> None:
        self._busy(fault)[0].signal(signal.SIGSTOP, group=True)
        self._wait(fault.seconds)

    def _stop_beats(self, fault: Fault) -> None:
        self._processes.stop_beats()
        self._wait(fault.seconds)

    def _more_beats(self, fault: Fault) -> None:
        for _ in range(2):
            self._processes.add_beat()
        self._wait(fault.seconds)


def _signal(pid: int | None, number: int) -> None:
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
