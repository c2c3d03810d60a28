"""The command itself, with processes, on a database of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from inngest_django.testing.chaos.planning import KINDS
from tests.processes import ROOT, wait_until

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]
# Long enough for a few faults of the plan; the rest is one run of the load.
SECONDS = 12


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Project:
    """The demo project on an empty database of its own."""

    def __init__(self, database: str, folder: Path) -> None:
        given = settings.DATABASES["default"]
        self.database = database
        self.environment = {
            **{key: value for key, value in os.environ.items() if "INNGEST_TEST" not in key},
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "DB_ENGINE": str(given["ENGINE"]),
            "DB_NAME": database,
            **{f"DB_{key}": str(given[key]) for key in ("USER", "PASSWORD", "HOST", "PORT")},
            "BROKER_URL": settings.CELERY_BROKER_URL,
            "VAR_DIR": str(folder),
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A session in a shell's background ignores Ctrl-C, and so would its children.
            preexec_fn=_heed_interrupts,  # noqa: PLW1509 - one system call
        )

    def call(self, *arguments: str) -> str:
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=240)
        assert process.returncode == 0, output + errors
        return output

    def query(self, statement: str) -> list[Any]:
        with connect(self.database) as connection:
            return connection.execute(statement).fetchall()


def connect(database: str) -> Any:
    import psycopg

    given = settings.DATABASES["default"]
    return psycopg.connect(
        dbname=database,
        user=given["USER"],
        password=given["PASSWORD"],
        host=given["HOST"],
        port=given["PORT"],
        autocommit=True,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    name = f"test_inngest_{settings.SESSION}_chaos"
    maintenance = str(settings.DATABASES["default"]["NAME"])
    if maintenance.startswith("test_"):
        maintenance = "postgres"
    with connect(maintenance) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            found = Project(name, tmp_path_factory.mktemp("chaos"))
            found.call("migrate", "-v0")
            yield found
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def alive(project: Project) -> list[int]:
    """Pids of processes that were started on the project's database."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"DB_NAME={project.database}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def assert_nothing_is_left(project: Project) -> None:
    assert alive(project) == []
    for table in ("run", "step", "job", "event", "wait", "attempt"):
        assert project.query(f"SELECT count(*) FROM inngest_{table}") == [(0,)], table
    # Those of the demo stay.
    functions = "SELECT count(*) FROM inngest_function WHERE id LIKE 'inngest-chaos%'"
    assert project.query(functions) == [(0,)]
    assert project.query("SELECT to_regclass('inngest_chaos_effect')") == [(None,)]
    assert project.query("SELECT ticked_at FROM inngest_pulse WHERE ticked_at IS NOT NULL") == []


def test_a_short_session_strikes_checks_and_leaves_nothing(project: Project) -> None:
    report = json.loads(
        project.call(
            "inngest_chaos", "--json", "--minutes", f"{SECONDS / 60}", "--seed", "5",
            "--concurrency", "1", "--rate", "1", "--lease", "2", "--bound", "60",
        )
    )  # fmt: skip

    assert report["ok"]
    assert report["seed"] == 5
    assert {fault["kind"] for fault in report["faults"]}
    assert all(fault["recovery"] is not None for fault in report["faults"])
    assert [verdict["violations"] for verdict in report["verdicts"]] == [[]] * 6
    assert all(verdict["checked"] for verdict in report["verdicts"])
    # The load ran, through the proxies.
    assert report["runs"] >= 8
    assert report["body_calls"] >= 20
    assert all(report["proxies"][name]["connections"] for name in ("database", "broker"))
    assert_nothing_is_left(project)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_kind_of_fault_strikes_and_no_promise_breaks(project: Project) -> None:
    """However long that takes: a plan has each kind once before one comes again."""
    process = project.start(
        "inngest_chaos", "--json", "--minutes", "60", "--seed", "3",
        "--concurrency", "1", "--rate", "1", "--lease", "2", "--bound", "60",
    )  # fmt: skip
    said = []
    try:
        assert process.stderr
        for line in iter(process.stderr.readline, ""):
            said.append(line)
            if sum("recovered in" in each or "NOT RECOVERED" in each for each in said) >= len(
                KINDS
            ):
                process.send_signal(signal.SIGINT)
                break
        output, errors = process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 0, "".join([*said, output, errors])
    report = json.loads(output)
    assert {fault["kind"] for fault in report["faults"]} == {kind.name for kind in KINDS}
    assert [verdict["violations"] for verdict in report["verdicts"]] == [[]] * 6
    assert all(verdict["checked"] for verdict in report["verdicts"])
    # What the plan says was done.
    assert all(report["proxies"][name]["cut"] for name in ("database", "broker"))
    assert report["proxies"]["database"]["replies_dropped"]
    assert report["restarts"]
    assert_nothing_is_left(project)


def test_ctrl_c_ends_with_a_report_and_leaves_nothing(project: Project) -> None:
    process = project.start("inngest_chaos", "--minutes", "5", "--seed", "1", "--workers", "1")
    try:
        assert process.stderr
        assert process.stdout
        lines = iter(process.stderr.readline, "")
        assert any("the sender work" in line for line in lines)
        # Once there is something to report.
        wait_until(lambda: project.query("SELECT 1 FROM inngest_run LIMIT 1"), 60, what="a run")
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=200)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 0, output
    assert "interrupted" in output
    assert "Every promise was kept." in output
    assert_nothing_is_left(project)
