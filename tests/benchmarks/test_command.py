"""The benchmarks run and write their table. No figure is asserted: machines differ."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from benchmarks import __main__ as command
from benchmarks import rows
from benchmarks.places import Server, databases_of
from benchmarks.report import TITLES, Report
from tests import profiles
from tests.repo.readme import ROOT

BROKERS = {"amqp": ("rabbitmq", "AMQP_URL"), "redis": ("redis", "REDIS_URL")}


@dataclasses.dataclass(frozen=True, slots=True)
class Done:
    """What came of a command."""

    pid: int
    code: int
    out: str
    told: str


def _run(*arguments: str, env: dict[str, str]) -> Done:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            out, told = process.communicate(timeout=400)
        except BaseException:
            process.kill()
            raise
    return Done(process.pid, process.returncode, out, told)


def _databases_of(done: Done) -> set[str]:
    """Others' may come and go meanwhile."""
    with Server.from_environment().connect(os.environ.get("PGDATABASE", "postgres")) as connection:
        found = connection.execute("SELECT datname FROM pg_database").fetchall()
    return {row[0] for row in found if row[0].startswith(databases_of(done.pid))}


@pytest.mark.services
@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(420)
def test_tiny_sizes_of_everything_write_a_table(tmp_path: Path) -> None:
    broker, variable = BROKERS[profiles.current().broker]
    # Not the tests' own Redis database, which holds their keys.
    url = settings.CELERY_BROKER_URL if broker == "rabbitmq" else "redis://127.0.0.1:6379/14"
    page = tmp_path / "page.md"

    done = _run(
        *("all", "--broker", broker),
        *("--pairs", "2", "--scale", "0.01", "--big", "200", "--write", str(page)),
        env={variable: url},
    )

    assert done.code == 0, done.told
    text = page.read_text()
    assert done.out in text
    works = {row.work.split()[0] for row in rows.ROWS}
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    for work in works:
        assert any(line.startswith(f"| {work} ") for line in lines), work
    assert "failed" not in text
    assert "| PostgreSQL, both sides | " in text
    assert "`fsync` on" in text
    assert _databases_of(done) == set()


@pytest.mark.services
@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(420)
def test_profile_tells_the_costs_of_every_process_and_part(tmp_path: Path) -> None:
    broker, variable = BROKERS[profiles.current().broker]
    url = settings.CELERY_BROKER_URL if broker == "rabbitmq" else "redis://127.0.0.1:6379/14"
    page = tmp_path / "page.md"

    done = _run(
        *("--profile", "W1", "--broker", broker, "--pairs", "1", "--scale", "0.1"),
        *("--write", str(page)),
        env={variable: url},
    )

    assert done.code == 0, done.told
    assert "<!-- profile -->" in page.read_text()
    costs = {
        cells[0]: [float(cost) for cell in cells[1:] for cost in cell.split(" / ") if cell]
        for line in done.out.splitlines()
        if line.startswith("| ") and "---" not in line and "W1" not in line
        for cells in [[cell.strip() for cell in line.split("|")[1:-1]]]
    }
    for process in ("children", "main process", "PostgreSQL", TITLES[broker], "client"):
        assert len(costs[process]) == 5, process
        assert any(cost > 0 for cost in costs[process]), process
    for part in ("publish", "lease and load", "record the outcome", "store the result", "Celery"):
        assert any(cost > 0 for cost in costs[part]), part
    assert _databases_of(done) == set()


def test_help_names_the_workloads(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--help"])

    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"{name} " in shown for name in command.WORKLOADS)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["W9"], "unknown work W9; choose from W1"),
        (["--pairs", "0"], "--pairs must be at least 1, got 0"),
        (["--scale", "0"], "--scale must be above 0, got 0"),
        (["--profile", "W4"], "unknown work W4; choose from W1, W2, W3"),
    ],
)
def test_bad_arguments_are_named(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)

    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_table_takes_ratios_inside_pairs_and_says_what_is_met() -> None:
    report = Report(
        command="c", date="d", commit="x", machine="m", packages="p", database={"fsync": "on"},
        load_before="0", brokers={"redis": "Redis 7"},
    )  # fmt: skip
    report.values["redis"] = {
        (rows.PLAIN, "W2", "steps"): [200.0, 100.0, 400.0],
        (rows.DURABLE, "W2", "steps"): [300.0, 150.0, 200.0],
        (rows.FAST, "W2", "steps"): [200.0, float("nan"), 400.0],
    }

    [line] = [x for x in report.text().splitlines() if x.startswith("| W2 sequences")]

    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[2:] == [
        "200 (100 to 400)", "200 (150 to 300)", "1.50 x (0.50 to 1.50)", "300 (200 to 400)",
        "1.00 x (1.00 to 1.00)", "1.4 x", "yes / **no**",
    ]  # fmt: skip
    assert "healthy" in report.text()


def _report(**options: Any) -> Report:
    return Report(
        command="c", date="d", commit="x", machine="m", packages="p", load_before="0",
        **{"database": {"autovacuum": "off"}, **options},
    )  # fmt: skip


def test_head_says_how_the_sides_differ() -> None:
    report = _report(
        brokers={"redis": "Redis 7", "rabbitmq": "RabbitMQ 3"},
        dead_rows={"redis": {rows.PLAIN: 1000, rows.DURABLE: 20_000}},
    )

    text = report.text()

    assert "turns `synchronous_commit` off for single transactions" in text
    assert "`autovacuum` is off." in text
    assert "Redis: plain Celery 1,000, apply_async 20,000." in text
    assert "those of plain Celery keep it.\nWith `--no-ack-emulation` neither side" in text
    assert "every 20 ms in W1, W2 and W4, every 3 ms in W3 and every 0.5 ms where" in text
    assert "vacuumed and analyzed once" in text


def test_head_says_when_redis_lists_nothing() -> None:
    without = _report(brokers={"redis": "Redis 7"}, has_ack_emulation=False).text()
    elsewhere = _report(brokers={"rabbitmq": "RabbitMQ 3"}).text()

    assert "Here neither side kept it" in without
    assert "those of plain Celery keep it" not in without
    assert "unacknowledged" not in elsewhere


def test_memory_results_and_many_waits_have_goals_in_the_table() -> None:
    report = _report()
    report.values["redis"] = {
        (rows.DURABLE, "W5", "big_over_few"): [1.6],
        (rows.FAST, "M", "growth"): [6.0],
        (rows.PLAIN, "M", "growth"): [2.0],
        (rows.FAST, "L", "seconds"): [0.2],
    }

    lines = [line for line in report.text().splitlines() if line[:4] in ("| W5", "| M ", "| L ")]

    assert [[cell.strip() for cell in line.split("|")[3:-1]] for line in lines] == [
        ["", "1.60", "", "", "", "at most 1.5 x", "**no**"],
        ["", "", "", "0.20", "", "under 20 s", "yes"],
        ["2.00", "", "", "6.00", "", "under 100 bytes", "yes"],
    ]


def test_unhealthy_baseline_is_said_aloud() -> None:
    report = Report(
        command="c", date="d", commit="x", machine="m", packages="p", database={}, load_before="0"
    )
    report.values["rabbitmq"] = {(rows.PLAIN, "W2", "steps"): [90.0]}

    assert "**not healthy: compare nothing**" in report.text()
