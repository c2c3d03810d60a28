"""More workers than database connections, PgBouncer between them, and a snapshot kept open."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from tests.faults import arena as arenas
from tests.faults import places, verdicts
from tests.faults.arena import Arena
from tests.faults.drives import Strike
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules
from tests.faults.servers import LOOPBACK, Postgres, Server, program
from tests.processes import ProcessStack

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(240)]

LIMIT = 5
WORKERS = 50
# Seconds that so many processes take to start (again after the worker was killed) and to find
# a free connection, on two cores.
START = 20.0
# How long the snapshot of row 12 stays open.
SNAPSHOT = float(os.environ.get("INNGEST_TEST_SNAPSHOT", "300"))


class PgBouncer(Server):
    """PgBouncer in transaction mode: a session is whichever connection is free."""

    user = "postgres"

    def __init__(self, server: Postgres) -> None:
        super().__init__()
        (self.folder / "users.txt").write_text('"postgres" ""\n')
        (self.folder / "bouncer.ini").write_text(
            f"[databases]\n* = host={LOOPBACK} port={server.port}\n"
            "[pgbouncer]\npool_mode = transaction\nauth_type = trust\n"
            f"listen_addr = {LOOPBACK}\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_file = {self.folder}/users.txt\nmax_client_conn = 100\n"
            f"default_pool_size = {LIMIT}\n"
        )

    def command(self) -> list[str]:
        return [program("pgbouncer", "/usr/sbin"), str(self.folder / "bouncer.ini")]

    def answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(
                host=LOOPBACK, port=self.port, user="postgres", dbname="postgres", connect_timeout=5
            ).close()
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="module")
def shared_arena(stack: ProcessStack, cluster: Postgres) -> Iterator[Arena]:
    """As that of conftest.py, on a cluster of its own."""
    with places.database(stack, cluster), arenas.running(stack, heal=False) as opened:
        yield opened


def _sql(statement: str) -> list[tuple[Any, ...]]:
    with connections["default"].cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.mark.matrix(10, "50 processes, a role with 5 connections")
def test_more_processes_than_connections_still_make_progress(arena: Arena) -> None:
    _sql(
        f"CREATE ROLE few LOGIN CONNECTION LIMIT {LIMIT};"
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO few;"
        "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO few"
    )
    arena.start_worker({"PGUSER": "few"}, concurrency=WORKERS)

    worker = arena.worker

    def refused() -> int:
        return worker.output().count("too many connections")

    before = refused()
    report = arena.drive(
        sets=3, timeout=180, bound=arenas.BOUND + START, count=lambda: refused() - before
    )

    print(report)
    assert report.faults
    assert report.restarts == 0


@pytest.mark.matrix(10, "PgBouncer in transaction mode, 5 connections for 50 processes")
def test_nothing_needs_a_session_of_its_own(arena: Arena, cluster: Postgres) -> None:
    settings = {"DISABLE_SERVER_SIDE_CURSORS": True}
    with PgBouncer(cluster) as bouncer:
        arena.start_worker(
            {
                "PGPORT": str(bouncer.port),
                "INNGEST_TEST_DATABASE_SETTINGS": json.dumps(settings),
            },
            concurrency=WORKERS,
        )

        report = arena.drive(
            sets=3,
            timeout=120,
            bound=arenas.BOUND + START,
            strikes=[Strike(20, arena.kill_worker), Strike(40, faults=0)],
        )
        arena.kill_worker()

    print(report)
    assert report.restarts == 1


@pytest.mark.matrix(12, "a snapshot kept open for five minutes")
@pytest.mark.timeout(SNAPSHOT + 240)
def test_an_old_snapshot_does_not_stop_the_work(arena: Arena, cluster: Postgres) -> None:
    """Nothing that ended since can be vacuumed; claims and ticks go on, in bounded room."""
    arena.start_worker()
    keeper: Any = cluster.connect(places.DATABASE)
    loads = 0
    # The snapshot is one fault, which lasts: in each load what it holds up is looked at again.
    verdicts.note(faults=1)
    with keeper:
        keeper.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM inngest_job")
        before = _written()
        until = time.monotonic() + SNAPSHOT
        while time.monotonic() < until:
            report = arena.drive(sets=3, strikes=[Strike(0, faults=0), Strike(60, faults=0)])
            loads += 1
        after = _written()
        keeper.execute("ROLLBACK")

    size, rows = (now - then for now, then in zip(after, before, strict=True))
    print(f"{loads} loads, {rows} versions of jobs, {size} bytes; the last: {report}")
    # A version takes some 200 bytes and as much in indexes.
    assert size < rows * 1000


def _written() -> tuple[int, int]:
    _sql("SELECT pg_stat_clear_snapshot()")
    [(size, rows)] = _sql(
        "SELECT pg_total_relation_size(relid), n_tup_ins + n_tup_upd"
        " FROM pg_stat_user_tables WHERE relname = 'inngest_job'"
    )
    return size, rows
