"""The processes of a session: workers, beats and the sender, each in a group of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from inngest_django.testing.chaos.handover import Handover

_START_PATIENCE = 90.0
_STOP_PATIENCE = 20.0
_APP = "inngest_django.testing.chaos.celery_app"


class StartError(Exception):
    """A process did not start; the message holds the end of its log."""


class Process:
    """One of them.

    Attributes:
        log: What it prints.
    """

    def __init__(self, name: str, command: list[str], given: Handover, ready: str) -> None:
        self.name = name
        self.log = Path(given.folder) / f"{name}.log"
        self._ready = ready
        self._begins_at = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self._popen = subprocess.Popen(  # noqa: S603 - our own command
                command,
                env={**os.environ, **given.environment()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the main process."""
        return self._popen.pid

    def is_alive(self) -> bool:
        """Return whether the main process lives."""
        return self._popen.poll() is None

    def is_ready(self) -> bool:
        """Return whether it has said that it works."""
        with self.log.open("rb") as log:
            log.seek(self._begins_at)
            return self._ready.encode() in log.read()

    def wait_ready(self) -> None:
        """Wait until it says so.

        Raises:
            StartError: It ended, or takes too long.
        """
        pause, deadline = threading.Event(), time.monotonic() + _START_PATIENCE
        while not self.is_ready():
            if not self.is_alive() or time.monotonic() > deadline:
                tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
                state = "did not get ready" if self.is_alive() else "ended at once"
                raise StartError(f"{self.name} {state}:\n{tail}")
            pause.wait(0.1)

    def children(self) -> list[int]:
        """Return the pids of the living processes of its group but the main one."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
                if int(group) == self.pid and state != "Z" and int(stat.parent.name) != self.pid:
                    found.append(int(stat.parent.name))
        return sorted(found)

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send a signal to the main process, or to all of its group."""
        if self._popen.returncode is None or group:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(self.pid, number)

    def end(self, grace: float = _STOP_PATIENCE) -> None:
        """Ask it to stop, wait so many seconds, and kill what is left of its group."""
        if grace and self.is_alive():
            self.signal(signal.SIGCONT, group=True)
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace)
        self.signal(signal.SIGKILL, group=True)
        self._popen.wait()


class Processes:
    """All of them, kept alive as a process manager does."""

    def __init__(self, given: Handover, *, concurrency: int) -> None:
        self._given = given
        self._concurrency = concurrency
        self.workers: list[Process] = []
        self.beats: list[Process] = []
        self.sender: Process | None = None
        self.restarts = 0
        self._number = 0

    def start(self, *, workers: int, beats: int) -> None:
        """Start them and wait until they work.

        Raises:
            StartError: One does not.
        """
        for _ in range(workers):
            self.add_worker()
        for _ in range(beats):
            self.add_beat()
        for process in (*self.workers, *self.beats):
            process.wait_ready()

    def start_sender(self) -> None:
        """Start the load."""
        module = "inngest_django.testing.chaos.sender"
        self.sender = Process("sender", [sys.executable, "-m", module], self._given, "ready.")
        self.sender.wait_ready()

    def add_worker(self) -> Process:
        """Start a further worker."""
        queue, control = self._given.queues
        found = self._celery(
            "worker", " ready.", "-Q", f"{queue},{control}", "-c", str(self._concurrency),
            "-P", "prefork", "--without-gossip", "--without-mingle", "--without-heartbeat",
            "-n", f"{queue}-{self._number + 1}@%h",
        )  # fmt: skip
        self.workers.append(found)
        return found

    def add_beat(self) -> Process:
        """Start a further beat."""
        found = self._celery("beat", "beat: Starting", "--pidfile=")
        self.beats.append(found)
        return found

    def replace(self, worker: Process, *, grace: float = 0.0) -> None:
        """End a worker, and start another in its place."""
        worker.end(grace)
        self.workers.remove(worker)
        self.add_worker()

    def stop_beats(self, keep: int = 0) -> None:
        """Stop beats until so many are left."""
        while len(self.beats) > keep:
            self.beats.pop().end(2.0)

    def keep_alive(self) -> None:
        """Start again what ended by itself."""
        for worker in [worker for worker in self.workers if not worker.is_alive()]:
            self.restarts += 1
            self.replace(worker)
        for beat in [beat for beat in self.beats if not beat.is_alive()]:
            self.restarts += 1
            self.beats.remove(beat)
            beat.end(0)
            self.add_beat()

    def stop_sender(self) -> bool:
        """Let the sender finish what it sends; returns whether it lived until now."""
        sender, self.sender = self.sender, None
        if sender is None:
            return True
        lived = sender.is_alive()
        sender.end()
        return lived

    def stop(self) -> None:
        """End all of them; workers are asked first."""
        for process in self._all():
            process.signal(signal.SIGCONT, group=True)
            process.signal(signal.SIGTERM)
        for process in self._all():
            process.end(5.0)
        self.workers, self.beats, self.sender = [], [], None

    def _all(self) -> Iterator[Process]:
        yield from self.workers
        yield from self.beats
        if self.sender is not None:
            yield self.sender

    def _celery(self, what: str, ready: str, *arguments: str) -> Process:
        self._number += 1
        command = [sys.executable, "-m", "celery", "-A", _APP, what, *arguments, "-l", "INFO"]
        return Process(f"{what}-{self._number}", command, self._given, ready)
