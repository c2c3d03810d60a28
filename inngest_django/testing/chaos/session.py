"""One session: start, break, wait, check, clean up."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

from django.db import Error, connections

from inngest_django.models.base import alias
from inngest_django.testing.chaos import endpoints, messages, planning, rows
from inngest_django.testing.chaos.audit import RECOVERED, Verdict, Watch, check
from inngest_django.testing.chaos.faults import Faults
from inngest_django.testing.chaos.functions import PREFIX
from inngest_django.testing.chaos.handover import Handover
from inngest_django.testing.chaos.ledger import Ledger
from inngest_django.testing.chaos.planning import Fault
from inngest_django.testing.chaos.processes import Processes
from inngest_django.testing.chaos.report import Report, Struck
from inngest_django.testing.proxy import Proxy

_LOOK_EVERY = 1.0
_POLL = 0.2
_SQLITE = "database faults: SQLite has no connections to break"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the user chose; see the command's help.

    Attributes:
        seconds: For how long faults are made.
        rate: Sets of events a second.
        keep: Leave rows and logs.
    """

    seconds: float
    seed: int
    settings: str
    app: str
    broker: endpoints.Broker
    database: endpoints.Server | None
    workers: int
    concurrency: int
    beats: int
    rate: float
    lease: float
    bound: float
    keep: bool


class Session:
    """Runs once.

    Args:
        say: Told in a line what happens.
    """

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._struck: list[Struck] = []
        self._recovered = Verdict(RECOVERED)
        self._watch = Watch()
        self._looked_at = 0.0
        self._pause = threading.Event()
        self._is_interrupted = False

    def run(self) -> Report:
        """Do it all, and return what was found; a first Ctrl-C ends the faults early."""
        options = self._options
        with contextlib.ExitStack() as undo:
            folder = tempfile.mkdtemp(prefix="inngest-chaos-")
            undo.callback(self._dispose, folder)
            given, proxies = self._connect(undo, folder)
            before = rows.pulse()
            rows.prepare()
            if not options.keep:
                undo.callback(rows.restore_pulse, before)
                undo.callback(rows.clean)
            undo.callback(messages.clean, options.broker, given)
            processes = Processes(given, concurrency=options.concurrency)
            undo.callback(processes.stop)
            processes.start(workers=options.workers, beats=options.beats)
            processes.start_sender()
            self._say(f"{options.workers} workers, {options.beats} beats and the sender work")
            began = time.monotonic()
            with self._interruptible():
                self._strike(processes, proxies, folder)
            took = time.monotonic() - began
            with self._interruptible():
                self._settle(processes, proxies)
            processes.stop()
            return self._report(took, Ledger(given.ledger), processes, proxies)

    def _connect(
        self, undo: contextlib.ExitStack, folder: str
    ) -> tuple[Handover, dict[str, Proxy]]:
        options = self._options
        server = options.broker.server
        proxies = {"broker": undo.enter_context(Proxy(server.host, server.port))}
        database = {"NAME": str(connections[alias()].settings_dict["NAME"])}
        if options.database is not None:
            proxy = undo.enter_context(Proxy(options.database.host, options.database.port))
            proxies["database"] = proxy
            database = endpoints.database_changes(proxy.host, proxy.port)
        name = f"{PREFIX}-{secrets.token_hex(4)}"
        broker = proxies["broker"]
        given = Handover(
            settings=options.settings,
            app=options.app,
            alias=alias(),
            database=database,
            broker_url=options.broker.through(broker.host, broker.port),
            key_prefix=f"{name}:" if options.broker.transport == "redis" else "",
            queues=(name, f"{name}-control"),
            lease=options.lease,
            folder=folder,
            parent=os.getpid(),
            rate=options.rate,
        )
        return given, proxies

    # Breaking --------------------------------------------------------------------------

    def _strike(self, processes: Processes, proxies: dict[str, Proxy], folder: str) -> None:
        options = self._options
        began = time.monotonic()
        faults = Faults(processes, proxies, folder, lambda seconds: self._wait(seconds, processes))
        kinds = planning.kinds_for(has_database_proxy="database" in proxies)
        try:
            for fault in planning.plan(options.seed, kinds, lease=options.lease):
                self._wait(fault.pause, processes)
                if time.monotonic() - began >= options.seconds:
                    return
                faults.apply(fault)
                recovery = self._recovery(fault, processes)
                self._struck.append(Struck(fault, recovery))
                self._tell(fault, recovery, time.monotonic() - began)
        finally:
            faults.heal()

    def _recovery(self, fault: Fault, processes: Processes) -> float | None:
        began = time.monotonic()
        due = rows.outstanding()
        while due.left(rows.outstanding()):
            took = time.monotonic() - began
            if took > self._options.bound:
                left = rows.outstanding()
                self._recovered.expect(
                    False,
                    f"{took:.0f} s after {fault.kind.name} ({fault.number}):"
                    f" {len(due.jobs & left.jobs)} jobs and"
                    f" {len(due.events & left.events)} events had not moved",
                )
                return None
            self._wait(_POLL, processes)
        self._recovered.checked += 1
        return time.monotonic() - began

    def _wait(self, seconds: float, processes: Processes) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._pause.wait(min(left, _POLL))
            processes.keep_alive()
            if time.monotonic() - self._looked_at > _LOOK_EVERY:
                self._watch.look()
                self._looked_at = time.monotonic()

    def _tell(self, fault: Fault, recovery: float | None, elapsed: float) -> None:
        runs, ended = rows.counts()
        lasted = f" for {fault.seconds:.1f} s" if fault.seconds else ""
        became = "NOT RECOVERED" if recovery is None else f"recovered in {recovery:.1f} s"
        self._say(
            f"{elapsed:5.0f} s  {ended} of {runs} runs ended  {fault.kind.name}{lasted}, {became}"
        )

    # Ending ----------------------------------------------------------------------------

    def _settle(self, processes: Processes, proxies: dict[str, Proxy]) -> None:
        for proxy in proxies.values():
            proxy.heal()
        self._say("No more faults; waiting for the runs to end")
        if not processes.stop_sender():
            self._recovered.expect(False, "the sender ended by itself; see its log with --keep")
        last, moved_at = (-1, -1), time.monotonic()
        while True:
            runs, ended = rows.counts()
            # Counted again: a run may have begun while the events were asked for.
            if runs == ended and not rows.outstanding().events and rows.counts() == (runs, ended):
                return
            if (runs, ended) != last:
                last, moved_at = (runs, ended), time.monotonic()
            elif time.monotonic() - moved_at > self._options.bound + 10:
                return
            self._wait(_POLL, processes)

    def _report(
        self, took: float, ledger: Ledger, processes: Processes, proxies: dict[str, Proxy]
    ) -> Report:
        notes = list(ledger.notes())
        verdicts = [*check(notes, self._watch), self._recovered]
        return Report(
            seed=self._options.seed,
            took=took,
            is_interrupted=self._is_interrupted,
            struck=tuple(self._struck),
            verdicts=tuple(verdicts),
            events=sum(note.what == "accepted" for note in notes),
            runs=rows.counts()[0],
            calls=sum(note.what.startswith("begin ") for note in notes),
            restarts=processes.restarts,
            left_out="" if "database" in proxies else _SQLITE,
            counts={
                name: {
                    "connections": proxy.counts.connections,
                    "cut": proxy.counts.cut,
                    "replies_dropped": proxy.counts.replies_dropped,
                }
                for name, proxy in proxies.items()
            },
        )

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            if self._is_interrupted:
                raise
            self._is_interrupted = True
            self._say("Interrupted: finishing; once more gives up at once")

    def _dispose(self, folder: str) -> None:
        if self._options.keep:
            self._say(f"Logs and ledger are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(Error):
            connections[alias()].close()
