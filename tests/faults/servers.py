"""Servers of the tests' own: PostgreSQL, Redis and RabbitMQ, to be stopped and hurt at will.

Each listens on a free port of the loopback, keeps its files in a folder of its own and ends
with the ``with`` block that started it, whatever happens inside. Programs that are not
installed are an error: a test that needs one must not pass without it.
"""

from __future__ import annotations

import contextlib
import ctypes
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from tests.processes import wait_until

LOOPBACK = "127.0.0.1"
_START = 60.0
_STOP = 30.0


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def program(name: str, *places: str) -> str:
    """Return the path of a server's program.

    Raises:
        AssertionError: It is not installed; names where it was looked for.
    """
    for pattern in places:
        if found := sorted(glob.glob(f"{pattern}/{name}")):
            return found[-1]
    if path := shutil.which(name):
        return path
    raise AssertionError(
        f"{name} is neither in {', '.join(places) or 'a special place'} nor on PATH."
        " Install the server: these tests start one of their own."
    )


def _end_with_the_tests() -> None:
    # Should they be killed, nobody else would end it.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG of Linux


class Server:
    """One server process and its folder.

    Attributes:
        user: Whom it runs as when the tests run as root; None for the tests' own user.
        port: Where it listens, also after it was started again.
    """

    user: str | None = None

    def __init__(self) -> None:
        self.port = free_port()
        # Not below pytest's folder: the path of a Unix socket is at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="inngest-", dir="/tmp"))
        self._account = pwd.getpwnam(self.user) if self.user and os.geteuid() == 0 else None
        if self._account:
            os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None

    # What differs ----------------------------------------------------------------------

    def prepare(self) -> None:
        """Make what the server needs before its first start."""

    def command(self) -> list[str]:
        """Return what starts it in the foreground."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Return what its programs find in the environment, and nothing else."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8"}

    def answers(self) -> bool:
        """Return whether it serves."""
        raise NotImplementedError

    def tidy(self) -> None:
        """End what belongs to it besides the process."""

    # Life ------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def start(self, *, wait: bool = True) -> None:
        """Start it, for the first time or again with what it had on disk."""
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self.command(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # After the change of user, which would undo it.
                preexec_fn=_end_with_the_tests,  # noqa: PLW1509 - one system call
                **self._as_user(),  # type: ignore[call-overload]
            )
        if wait:
            self.wait()

    def wait(self) -> None:
        """Return when it serves."""
        wait_until(
            lambda: self.answers() or not self.is_running,
            _START,
            what=f"answer of {type(self).__name__}",
            explain=self.output,
        )
        assert self.is_running, self.output()

    @property
    def is_running(self) -> bool:
        """Whether the process that was started last lives."""
        return self._process is not None and self._process.poll() is None

    def send_signal(self, number: int) -> None:
        """Send a signal to the server's main process."""
        assert self._process
        self._process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the process with a signal and wait for its end; its files stay."""
        if self._process is None:
            return
        if self.is_running:
            self.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP)
        # What it started itself, too.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def remove(self) -> None:
        """Stop it and remove all that it wrote."""
        try:
            self.stop(signal.SIGKILL)
            self.tidy()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *command: str) -> str:
        """Run one of the server's own programs as it runs itself; returns what it printed."""
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_START, check=False, **self._as_user()
        )
        assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
        return done.stdout

    def output(self) -> str:
        """Return the end of what the server printed."""
        path = self.folder / "output"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def _as_user(self) -> dict[str, object]:
        common: dict[str, object] = {"cwd": self.folder, "env": self.environment()}
        if self._account is None:
            return common
        return common | {
            "user": self._account.pw_uid,
            "group": self._account.pw_gid,
            "extra_groups": [],
        }


class Postgres(Server):
    """A PostgreSQL cluster; ``fsync`` is on, as where it matters."""

    user = "postgres"
    OPTIONS = (
        "listen_addresses=127.0.0.1",
        "shared_buffers=32MB",
        "max_connections=60",
        "logging_collector=off",
        # A crash loses what did not wait for the disk, and not only now and then.
        "wal_writer_delay=10s",
    )

    def __init__(self, *options: str) -> None:
        super().__init__()
        self.data = self.folder / "data"
        self.options = (*self.OPTIONS, *options)

    def _program(self, name: str) -> str:
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            found = subprocess.check_output(["pg_config", "--bindir"], text=True).strip()
            return program(name, found, "/usr/lib/postgresql/*/bin")
        return program(name, "/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")

    def prepare(self) -> None:
        self.run(self._program("initdb"), "-D", str(self.data), "-U", "postgres", "-A", "trust")

    def command(self) -> list[str]:
        options = [text for option in self.options for text in ("-c", option)]
        # Sockets by the data folder, which nobody else finds.
        places = ["-D", str(self.data), "-k", str(self.folder), "-p", str(self.port)]
        return [self._program("postgres"), *places, *options]

    def answers(self) -> bool:
        import psycopg

        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, dbname: str = "postgres") -> object:
        """Return a connection that is none of Django's."""
        import psycopg

        return psycopg.connect(
            host=LOOPBACK,
            port=self.port,
            user="postgres",
            dbname=dbname,
            connect_timeout=5,
            autocommit=True,
        )

    def crash(self) -> None:
        """Stop as ``pg_ctl stop -m immediate`` does: nothing is flushed, recovery follows.

        A server that is only starting may miss the signal, and would serve on.
        """
        for _ in range(int(_STOP)):
            if not self.is_running:
                break
            assert self._process
            self.send_signal(signal.SIGQUIT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
        self.stop(signal.SIGQUIT)


class Redis(Server):
    """A Redis server that keeps what it has in an append-only file."""

    def __init__(self, *options: str) -> None:
        super().__init__()
        self.options = options

    def command(self) -> list[str]:
        settings = ["--bind", LOOPBACK, "--port", str(self.port), "--dir", str(self.folder)]
        return [program("redis-server"), *settings, "--save", "", *self.options]

    @property
    def url(self) -> str:
        """As Celery takes it."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    def answers(self) -> bool:
        import redis

        try:
            return bool(self.call("PING"))
        except redis.RedisError:
            return False

    def call(self, *words: object) -> object:
        """Send one command and return the answer."""
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        never = Retry(NoBackoff(), 0)
        with redis.Redis(LOOPBACK, self.port, socket_timeout=10, retry=never) as client:
            return client.execute_command(*words)  # type: ignore[no-untyped-call]


class Rabbit(Server):
    """A RabbitMQ node with a name, a port mapper and folders of its own."""

    user = "rabbitmq"
    _PLACE = "/usr/lib/rabbitmq/bin"  # Past Debian's wrapper, which wants to be root.

    def __init__(self) -> None:
        super().__init__()
        self._mapper_port, self._dist_port = free_port(), free_port()
        self._mapper: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As Celery takes it."""
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}//"

    def prepare(self) -> None:
        (self.folder / "plugins").write_text("[].")
        # Started here, because one that the node starts would outlive it.
        self._mapper = subprocess.Popen(
            [program("epmd"), "-port", str(self._mapper_port), "-address", LOOPBACK],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._as_user(),  # type: ignore[call-overload]
        )

    def environment(self) -> dict[str, str]:
        folder = str(self.folder)
        return super().environment() | {
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_NODENAME": f"inngest-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_CONFIG_FILE": f"{folder}/none",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/none.env",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def command(self) -> list[str]:
        return [program("rabbitmq-server", self._PLACE)]

    def answers(self) -> bool:
        import kombu

        try:
            with kombu.Connection(self.url, connect_timeout=5) as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
        except Exception:
            return False
        return True

    def evaluate(self, expression: str) -> str:
        """Have the node itself evaluate an Erlang expression."""
        return self.run(program("rabbitmqctl", self._PLACE), "eval", expression)

    def alarm(self, *, on: bool) -> None:
        """Raise or clear the alarm of memory: publishers are blocked while it lasts."""
        alarm = "{resource_limit, memory, node()}"
        word, value = ("set", f"{{{alarm}, []}}") if on else ("clear", alarm)
        self.evaluate(f"rabbit_alarm:{word}_alarm({value}).")

    def tidy(self) -> None:
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper.wait()
            self._mapper = None


@contextlib.contextmanager
def stopped(server: Server, number: int = signal.SIGKILL) -> Iterator[None]:
    """Have a server down for a while."""
    server.stop(number)
    try:
        yield
    finally:
        server.start()
