"""Where a run of the benchmarks works: names of its own on servers that others use too."""

from __future__ import annotations

import dataclasses
import os
import urllib.parse
from typing import Any

AMQP = "amqp://guest:guest@127.0.0.1:5672//"
REDIS = "redis://127.0.0.1:6379/13"


def databases_of(pid: int) -> str:
    """Return how the names of the databases begin that a process makes."""
    return f"inngest_benchmarks_{pid}_"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """The PostgreSQL server, as libpq's variables name it."""

    host: str
    port: str
    user: str
    password: str

    @classmethod
    def from_environment(cls) -> Server:
        """Read ``PGHOST``, ``PGPORT``, ``PGUSER`` and ``PGPASSWORD``."""
        return cls(
            host=os.environ.get("PGHOST", "127.0.0.1"),
            port=os.environ.get("PGPORT", "5432"),
            user=os.environ.get("PGUSER", "postgres"),
            password=os.environ.get("PGPASSWORD", ""),
        )

    def connect(self, name: str, **options: Any) -> Any:
        """Return a psycopg connection in autocommit mode."""
        import psycopg

        return psycopg.connect(
            dbname=name,
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password or None,
            connect_timeout=5,
            autocommit=True,
            **options,
        )

    def alchemy_url(self, name: str) -> str:
        """Return Celery's address of a database as a store of results."""
        user = urllib.parse.quote(self.user, safe="")
        password = f":{urllib.parse.quote(self.password, safe='')}" if self.password else ""
        query = urllib.parse.urlencode({"host": self.host, "port": self.port})
        return f"db+postgresql+psycopg://{user}{password}@/{name}?{query}"

    def create(self, name: str) -> None:
        """Create a database."""
        with self.connect(os.environ.get("PGDATABASE", "postgres")) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')

    def drop(self, name: str) -> None:
        """Drop a database with the sessions that are left in it."""
        with self.connect(os.environ.get("PGDATABASE", "postgres")) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What one side of a comparison has for itself."""

    name: str
    database: str
    broker_url: str
    queue: str
    is_fast: bool = False
    has_ack_emulation: bool = True

    def environment(self) -> dict[str, str]:
        """Return the variables by which its processes know it."""
        return {
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
            "BENCHMARKS_DATABASE": self.database,
            "BENCHMARKS_BROKER_URL": self.broker_url,
            "BENCHMARKS_QUEUE": self.queue,
            "BENCHMARKS_FAST_PUBLISH": "1" if self.is_fast else "",
            "BENCHMARKS_ACK_EMULATION": "1" if self.has_ack_emulation else "",
        }

    @classmethod
    def from_environment(cls) -> Place:
        """Read what ``environment`` wrote.

        Raises:
            RuntimeError: This is no process of a benchmark.
        """
        try:
            return cls(
                name="",
                database=os.environ["BENCHMARKS_DATABASE"],
                broker_url=os.environ["BENCHMARKS_BROKER_URL"],
                queue=os.environ["BENCHMARKS_QUEUE"],
                is_fast=bool(os.environ["BENCHMARKS_FAST_PUBLISH"]),
                has_ack_emulation=bool(os.environ["BENCHMARKS_ACK_EMULATION"]),
            )
        except KeyError as error:
            raise RuntimeError(
                f"{error} is not set. Start the benchmarks with `python -m benchmarks`."
            ) from None

    def celery_settings(self) -> dict[str, Any]:
        """Return what both sides set the same."""
        options: dict[str, Any] = {}
        if self.broker_url.startswith("redis") and not self.has_ack_emulation:
            options = {"ack_emulation": False}
        return {
            "broker_url": self.broker_url,
            "broker_transport_options": options,
            "broker_connection_retry_on_startup": True,
            "worker_prefetch_multiplier": 4,
            "worker_enable_remote_control": False,
            "worker_send_task_events": False,
            "worker_disable_rate_limits": True,
            "worker_hijack_root_logger": True,
        }


def check_broker(url: str) -> None:
    """Connect once.

    Raises:
        RuntimeError: It does not answer, or a Redis database holds keys of others.
    """
    import kombu

    shown = kombu.Connection(url).as_uri()
    try:
        with kombu.Connection(url, connect_timeout=5) as connection:
            connection.ensure_connection(max_retries=1, timeout=5)
    except Exception as error:
        raise RuntimeError(f"The broker does not answer at {shown} ({error}).") from None
    if url.startswith("redis"):
        import redis

        with redis.Redis.from_url(url) as client:
            count = client.dbsize()
        if count:
            raise RuntimeError(
                f"Redis database {shown} holds {count} keys. Name an empty one:"
                " REDIS_URL=redis://127.0.0.1:6379/14."
            )


def clear_broker(url: str, queues: list[str]) -> None:
    """Delete our queues; in Redis also what kombu keeps beside them, and nothing else."""
    if url.startswith("redis"):
        import redis

        with redis.Redis.from_url(url) as client:
            for queue in queues:
                client.delete(queue, f"_kombu.binding.{queue}", f"_kombu.binding_permanent.{queue}")
            # The database was empty when we came; these have fixed names.
            client.delete("unacked", "unacked_index", "unacked_mutex")
        return
    import contextlib

    import kombu

    with kombu.Connection(url) as connection:
        for queue in queues:
            with contextlib.suppress(*connection.channel_errors), connection.channel() as channel:
                channel.queue_delete(queue)
            with contextlib.suppress(*connection.channel_errors), connection.channel() as channel:
                channel.exchange_delete(queue)
