"""What the figures were measured on."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.places import Server

_PACKAGES = (
    *("Django", "celery", "kombu", "billiard", "amqp", "redis", "hiredis"),
    *("psycopg", "psycopg-binary", "django-celery-beat", "SQLAlchemy"),
)
_SETTINGS = (
    *("server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method"),
    *("shared_buffers", "max_wal_size", "autovacuum"),
)


def processor() -> str:
    """Return the processors and their memory."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = next(
        int(line.split()[1]) / 2**20
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemTotal")
    )
    return f"{os.cpu_count()} x {model}, {memory:.0f} GiB, {platform.system()} {platform.release()}"


def load() -> str:
    """Return the load averages."""
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


def processor_times(pids: Iterable[int]) -> dict[int, float]:
    """Return the seconds of processor time that each living process has used."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def processes_named(name: str, *, proc: Path = Path("/proc")) -> list[int]:
    """Return the living processes of that name."""
    found = []
    for comm in proc.glob("[0-9]*/comm"):
        # Others on the machine may end while they are looked at.
        with contextlib.suppress(OSError):
            if comm.read_text().strip() == name:
                found.append(int(comm.parent.name))
    return found


def idle_time() -> tuple[float, float]:
    """Return how long the processors were idle since they started, and the time itself."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return float(fields[3] + fields[4]), float(sum(fields))


def idle_share(*, since: tuple[float, float]) -> float:
    """Return for what part of the time the processors were idle, in percent."""
    idle, time = idle_time()
    return 100 * (idle - since[0]) / max(1.0, time - since[1])


def broker_time(url: str) -> float:
    """Return the seconds of processor time that a broker on this machine has used."""
    if url.startswith("redis"):
        import redis

        with redis.Redis.from_url(url) as client:
            used: Any = client.info("cpu")
            return float(used["used_cpu_sys"] + used["used_cpu_user"])
    return sum(processor_times(processes_named("beam.smp")).values())


def now() -> str:
    """Return the date and the time."""
    return f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC"


def packages() -> str:
    """Return the versions of what takes part."""
    found = [f"Python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def database(server: Server) -> dict[str, str]:
    """Return the settings of PostgreSQL that decide what a commit costs."""
    with server.connect(os.environ.get("PGDATABASE", "postgres")) as connection:
        return {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in _SETTINGS}


def broker(url: str) -> str:
    """Return a broker's name and version."""
    if url.startswith("redis"):
        import redis

        with redis.Redis.from_url(url) as client:
            info: Any = client.info()
            kept = client.config_get("save").get("save") or "nothing"
            aof = client.config_get("appendonly").get("appendonly")
            return f"Redis {info['redis_version']} (save {kept}, appendonly {aof})"
    import kombu

    with kombu.Connection(url) as connection:
        connection.connect()
        properties = connection.connection.server_properties
        return f"{properties.get('product')} {properties.get('version')} (classic queues)"


def commit() -> str:
    """Return the commit that is measured, and whether the tree holds changes."""
    root = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()

    changed = git("status", "--porcelain", "--", "inngest_django", "benchmarks")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (
        " with changes that are not committed" if changed else ""
    )
