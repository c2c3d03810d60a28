"""The processes of one side: a worker, beat, and a client that sends and waits."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

from benchmarks import clients, machine, sampling
from benchmarks.clients import Figures
from benchmarks.places import Place, Server, clear_broker

ROOT = Path(__file__).resolve().parent.parent
_START = 90.0  # Seconds for a process to be ready, on a loaded machine.
_WORKER = (
    *("worker", "-P", "prefork", "-c", "2", "-l", "WARNING"),
    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
)


class Process:
    """A child in a process group of its own, with its errors in a file."""

    def __init__(
        self, name: str, command: list[str], env: dict[str, str], log: Path, *, talks: bool = False
    ) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the process itself, which is its group's too."""
        return self._popen.pid

    @property
    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """What it reads and what it writes."""
        if self._popen.stdin is None or self._popen.stdout is None:
            raise RuntimeError(f"{self.name} does not talk")
        return self._popen.stdin, self._popen.stdout

    def check(self) -> None:
        """Raise when it has ended."""
        if self._popen.poll() is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])
            raise RuntimeError(f"{self.name} ended:\n{tail}")

    def memories(self) -> dict[int, int]:
        """Return the resident bytes of each process of its group, shared pages in each."""
        found = {}
        for pid in self._group():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmRSS:"):
                        found[pid] = 1024 * int(line.split()[1])
        return found

    def processor_times(self) -> dict[int, float]:
        """Return the seconds of processor time that each of its living processes has used."""
        return machine.processor_times(self._group())

    def _group(self) -> list[int]:
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                group = stat.read_text().rpartition(")")[2].split()[2]
                if int(group) == self.pid:
                    found.append(int(stat.parent.name))
        return found

    def stop(self) -> None:
        """Ask it to end, then kill what is left of its group."""
        if self._popen.stdin is not None:
            with contextlib.suppress(OSError):
                self._popen.stdin.close()
        if self._popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()


class Stack:
    """One side, on a database and queues of its own."""

    def __init__(self, place: Place, server: Server, folder: Path) -> None:
        self.place = place
        self.server = server
        self.folder = folder
        self.processes: list[Process] = []
        # Where its children leave samples, if that is asked for.
        self.samples: Path | None = None
        self._client: Process | None = None
        self._has_database = False

    @property
    def name(self) -> str:
        """What the table calls it."""
        return self.place.name

    @property
    def queues(self) -> list[str]:
        """The queues that it uses."""
        return [self.place.queue, f"{self.place.queue}-control"]

    def environment(self) -> dict[str, str]:
        """Return the variables of its processes."""
        marks = str(self.folder / f"{self.name}-marks.txt")
        samples = {sampling.FOLDER: str(self.samples)} if self.samples else {}
        return {**self.place.environment(), "BENCHMARKS_MARKS": marks, **samples}

    def start(self) -> None:
        """Make its database and start its processes."""
        self.server.create(self.place.database)
        self._has_database = True
        self.start_processes()
        self.measure("prepare")
        self.measure("rest")

    def start_processes(self) -> None:
        """Start worker, beat and client."""
        raise NotImplementedError

    def measure(self, name: str, **sizes: Any) -> Figures:
        """Have the client measure something.

        Raises:
            RuntimeError: It failed, or took too long; says which and why.
        """
        if self._client is None:
            raise RuntimeError(f"{self.name} has no client")
        for process in self.processes:
            process.check()
        to, from_ = self._client.pipes
        to.write(json.dumps({"measure": name, **sizes}).encode() + b"\n")
        to.flush()
        # A measurement may wait a few times; each has its own limit.
        ready, _, _ = select.select([from_], [], [], 6 * clients.PATIENCE)
        line = from_.readline() if ready else b""
        if not line:
            self._client.check()
            raise RuntimeError(f"{self.name}: no answer to {name}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self.name}: {name}: {answer['error']}")
        return dict(answer["figures"])

    @property
    def worker(self) -> Process:
        """Its worker."""
        return next(p for p in self.processes if p.name.endswith("worker"))

    def memory(self) -> int:
        """Return the resident bytes of the worker's processes."""
        return sum(self.worker.memories().values())

    def processor_time(self) -> float:
        """Return the seconds of processor time that the worker has used."""
        return sum(self.worker.processor_times().values())

    def sessions(self) -> list[int]:
        """Return the processes of PostgreSQL that work for it, or for everybody."""
        with self.server.connect(os.environ.get("PGDATABASE", "postgres")) as connection:
            found = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s OR datname IS NULL",
                (self.place.database,),
            )
            return [pid for (pid,) in found.fetchall()]

    def dead_rows(self) -> int:
        """Return about how many dead rows its tables hold now."""
        with self.server.connect(self.place.database) as connection:
            found = connection.execute(
                "SELECT coalesce(sum(n_dead_tup), 0)::bigint FROM pg_stat_user_tables"
            )
            return int(found.fetchone()[0])

    def stop(self) -> None:
        """Stop its processes, then remove what it made."""
        with contextlib.ExitStack() as stopping:  # Each is done, whatever befalls the others.
            if self._has_database:
                stopping.callback(self.server.drop, self.place.database)
                self._has_database = False
            stopping.callback(self._clear_broker)
            for process in self.processes:
                stopping.callback(process.stop)
            self.processes = []

    def _clear_broker(self) -> None:
        with contextlib.suppress(Exception):
            clear_broker(self.place.broker_url, self.queues)

    def _start(self, what: str, *command: str) -> Process:
        process = Process(
            f"{self.name} {what}",
            [*command],
            self.environment(),
            self.folder / f"{self.name}-{what}.log".replace(" ", "-"),
            talks=what == "client",
        )
        self.processes.append(process)
        if what == "client":
            self._client = process
        return process


class DurableStack(Stack):
    """Worker, beat and client of the durable side."""

    def start_processes(self) -> None:
        """Migrate, then start."""
        migrated = subprocess.run(
            [sys.executable, "-m", "django", "migrate", "-v", "0"],
            cwd=ROOT,
            env={**os.environ, **self.environment(), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=_START,
            check=False,
        )
        if migrated.returncode:
            raise RuntimeError(f"{self.name}: migrate failed:\n{migrated.stderr[-2000:]}")
        self._start(
            *("worker", "-m", "celery", "-A", "benchmarks", *_WORKER),
            *("-Q", ",".join(self.queues), "-n", f"{self.place.queue}@%h"),
        )
        self._start(
            *("beat", "-m", "celery", "-A", "benchmarks", "beat", "--pidfile=", "-l", "WARNING")
        )
        self._start("client", "-m", "benchmarks.durable_client")


class PlainStack(Stack):
    """Worker and client of Celery alone."""

    def start_processes(self) -> None:
        """Start."""
        self._start(
            *("worker", "-m", "celery", "-A", "benchmarks.plain_celery", *_WORKER),
            *("-Q", self.place.queue, "-n", f"{self.place.queue}@%h"),
        )
        self._start("client", "-m", "benchmarks.plain_client")
