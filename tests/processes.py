"""The worker and beat that the functional tests run against.

``ProcessStack`` starts ``celery worker`` and ``celery beat`` as an operator would, each a
process of its own. ``LocalStack`` is the in-process transport on SQLite: the same Celery
tasks, with worker and beat as threads of the pytest process.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.db import connections

ROOT = Path(__file__).resolve().parent.parent
# A loaded machine is slow; a test that waits for a state loses nothing by waiting longer.
PATIENCE = float(os.environ.get("INNGEST_TEST_PATIENCE", "1"))
T = TypeVar("T")


class TimedOutError(AssertionError):
    """What a test waited for did not come."""


def wait_until(
    predicate: Callable[[], T | None],
    timeout: float = 20,
    *,
    what: str = "",
    explain: Callable[[], str] = lambda: "",
    interval: float = 0.05,
) -> T:
    """Return the first truthy answer of ``predicate``, which polls the models.

    Raises:
        TimedOutError: None came within ``timeout`` seconds; names ``what`` and adds
            what ``explain`` says about the state at that time.
    """
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        if answer := predicate():
            return answer
        if time.monotonic() > deadline:
            wanted = what or getattr(predicate, "__name__", "the condition")
            raise TimedOutError(f"no {wanted} within {timeout:g} s. {explain()}".rstrip())
        time.sleep(interval)


class Process:
    """A child in a process group of its own, with its output in a file."""

    def __init__(self, name: str, command: list[str], env: Mapping[str, str], ready: str) -> None:
        self.name = name
        self.log = Path(settings.VAR_DIR) / f"{name}-{time.time_ns()}.log"
        with self.log.open("wb") as output:
            self._popen = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_until(
                lambda: ready in self.output() or self._popen.poll() is not None,
                60,
                what=f"readiness of {name}",
                explain=self.output,
            )
        except BaseException:
            self.kill()  # Nobody else knows of it.
            raise
        if not self.is_alive():
            raise AssertionError(f"{name} ended at once:\n{self.output()}")

    @property
    def pid(self) -> int:
        """Of the main process; its children are its own affair."""
        return self._popen.pid

    def output(self) -> str:
        """Return what it has printed so far."""
        return self.log.read_text(errors="replace")

    def is_alive(self) -> bool:
        """Return whether the main process lives."""
        return self._popen.poll() is None

    def children(self) -> list[int]:
        """Return the pids of the living processes of its group but the main one."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
                if int(group) == self.pid and state != "Z" and int(stat.parent.name) != self.pid:
                    found.append(int(stat.parent.name))
        return sorted(found)

    def send_signal(self, number: int) -> None:
        """Send a signal to the main process alone."""
        os.kill(self.pid, number)

    def terminate(self, timeout: float = 30) -> None:
        """Ask it to stop, as a deploy does, and wait; kill what does not."""
        if self.is_alive():
            self.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout)
        self.kill()

    def kill_main(self) -> None:
        """Kill the main process alone: its children become orphans."""
        with contextlib.suppress(ProcessLookupError):
            self.send_signal(signal.SIGKILL)
        self._popen.wait()

    def kill(self) -> None:
        """Kill the whole group, as a machine that loses power does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()


class ProcessStack:
    """A worker (prefork, two children) and beat; each can be stopped, killed and restarted.

    Attributes:
        extra_environment: What every process finds in its environment until it is taken out.
    """

    has_processes = True

    def __init__(self) -> None:
        self.worker: Process | None = None
        self.beat: Process | None = None
        self.extra_environment: dict[str, str] = {}
        self._is_default = False

    def start(self) -> None:
        """Start what does not run."""
        if self.worker is None or not self.worker.is_alive():
            self.start_worker()
        if self.beat is None or not self.beat.is_alive():
            self.start_beat()

    def start_worker(
        self,
        *,
        inngest: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
        concurrency: int = 2,
        options: Sequence[str] = (),
    ) -> Process:
        """Start the worker, with changes to ``INNGEST`` and the environment for this time.

        Raises:
            AssertionError: One runs already; stop or kill it first.
        """
        if self.worker is not None and self.worker.is_alive():
            raise AssertionError("A worker runs already; call stop_worker() first.")
        self._is_default = not (inngest or env or options) and concurrency == 2
        queues = ",".join((settings.INNGEST["QUEUE"], settings.INNGEST["CONTROL_QUEUE"]))
        self.worker = Process(
            "worker",
            _celery(
                "worker", "-Q", queues, "-c", str(concurrency), "-n", f"{_session()}@%h", *options
            ),
            {**self._environment(inngest), **(env or {})},
            " ready.",
        )
        return self.worker

    def start_beat(self, *, inngest: Mapping[str, object] | None = None) -> Process:
        """Start beat."""
        if self.beat is not None and self.beat.is_alive():
            raise AssertionError("Beat runs already; call stop_beat() first.")
        self.beat = Process(
            "beat", _celery("beat", "--pidfile="), self._environment(inngest), "beat: Starting"
        )
        return self.beat

    def stop_worker(self) -> None:
        """Stop the worker as a deploy does."""
        if self.worker is not None:
            self.worker.terminate()
            self.worker = None

    def stop_beat(self) -> None:
        """Stop beat."""
        if self.beat is not None:
            self.beat.terminate()
            self.beat = None

    def restart_worker(
        self,
        *,
        inngest: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
        concurrency: int = 2,
    ) -> Process:
        """Stop the worker and start another, which imports all code afresh."""
        self.stop_worker()
        return self.start_worker(inngest=inngest, env=env, concurrency=concurrency)

    def heal(self) -> None:
        """Bring back the ordinary worker and beat after a test that touched them."""
        if self.worker is not None and not self._is_default:
            self.stop_worker()
        self.start()

    def stop(self) -> None:
        """Stop both and remove what they left in the broker."""
        self.stop_worker()
        self.stop_beat()
        clear_broker(settings.INNGEST["QUEUE"], settings.INNGEST["CONTROL_QUEUE"])

    def logs(self) -> Iterator[tuple[str, str]]:
        """Yield the name and output of each process."""
        for process in (self.worker, self.beat):
            if process is not None:
                yield process.name, process.output()

    def _environment(self, inngest: Mapping[str, object] | None) -> dict[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "INNGEST_TEST_DATABASE": str(connections["default"].settings_dict["NAME"]),
            "INNGEST_TEST_OVERRIDES": json.dumps(inngest or {}),
            "PYTHONUNBUFFERED": "1",
            # With DEBUG Django logs queries, and the engine prepares no statements.
            "DEBUG": "0",
            **self.extra_environment,
        }


class LocalStack:
    """Worker and beat as threads of this process, on the in-process transport."""

    has_processes = False

    def __init__(self) -> None:
        self._local: Any = None

    def start(self) -> None:
        """Start the threads."""
        from inngest_django.dispatch.local import start_local

        self._local = start_local()

    def heal(self) -> None:
        """Nothing can be broken here by a test."""

    def stop(self) -> None:
        """Stop the threads."""
        if self._local is not None:
            self._local.stop()
            self._local = None

    def logs(self) -> Iterator[tuple[str, str]]:
        """Yield nothing: its log records are pytest's own."""
        return iter(())


Stack = ProcessStack | LocalStack


def _session() -> str:
    return f"inngest-test-{settings.SESSION}"


def _celery(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "celery", "-A", "project", *arguments, "-l", "INFO"]


def check_services() -> None:
    """Connect once to the database server and the broker.

    Raises:
        RuntimeError: One of them does not answer; names the address.
    """
    import kombu
    import psycopg

    database = settings.DATABASES["default"]
    try:
        psycopg.connect(
            dbname=database["NAME"],
            user=database["USER"],
            password=database["PASSWORD"],
            host=database["HOST"],
            port=database["PORT"],
            connect_timeout=5,
        ).close()
    except psycopg.OperationalError as error:
        raise RuntimeError(
            f"PostgreSQL does not answer at {database['HOST']}:{database['PORT']} as user"
            f" {database['USER']!r} ({error}). Start it or set PGHOST, PGPORT, PGUSER, PGPASSWORD."
        ) from None
    try:
        with kombu.Connection(settings.CELERY_BROKER_URL, connect_timeout=5) as connection:
            connection.ensure_connection(max_retries=1, timeout=5)
    except Exception as error:
        raise RuntimeError(
            f"The broker does not answer at {kombu.Connection(settings.CELERY_BROKER_URL).as_uri()}"
            f" ({error}). Start it or set BROKER_URL."
        ) from None


def clear_broker(*queues: str) -> None:
    """Delete these queues, in Redis all keys of this session, and nothing else."""
    if settings.PROFILE.broker == "redis":
        import redis

        # Not kombu's client, which adds the prefix to some commands and not to others.
        with redis.Redis.from_url(settings.CELERY_BROKER_URL) as client:
            for key in client.scan_iter(match=f"{_session()}-*"):
                client.delete(key)
        return
    import kombu

    with kombu.Connection(settings.CELERY_BROKER_URL) as connection:
        for queue in queues:
            # One that was never declared closes its channel.
            with contextlib.suppress(*connection.channel_errors), connection.channel() as channel:
                channel.queue_delete(queue)
            with contextlib.suppress(*connection.channel_errors), connection.channel() as channel:
                channel.exchange_delete(queue)
