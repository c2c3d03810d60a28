"""The table that ``.ci/full`` writes."""

from __future__ import annotations

import datetime as dt
import importlib.util
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.repo.readme import ROOT

PAGE = ROOT / "docs" / "reference" / "full-run.md"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("ci_table", ROOT / ".ci" / "table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        (
            "PostgreSQL, Redis\tFAILED\t3725\t=== 2 failed, 76 passed, 9 deselected, 1 error in 9.1s ===",
            ("PostgreSQL, Redis", "FAILED", "76", "3", "62 min 05 s"),
        ),
        ("lint\tok\t61\t", ("lint", "ok", "-", "-", "1 min 01 s")),
        ("Django 6.0\tleft out\t\t", ("Django 6.0", "left out", "-", "-", "-")),
    ],
)
def test_part_becomes_a_row(script: Any, line: str, cells: tuple[str, ...]) -> None:
    assert script.cells(line) == cells


def test_only_the_table_of_the_page_is_replaced(script: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text())

    for commit, part in (("abc1234", "docs"), ("bad0000", "lint"), ("def5678", "lint")):
        rows = script.rows_of(page.read_text())
        text = script.table(commit, [f"{part}\tok\t61\t"], dt.date(2026, 5, 4), rows)
        script.write(page, text)

    start, _, rest = PAGE.read_text().partition(script.BEGIN)
    end = rest.partition(script.END)[2]
    written = page.read_text()
    assert written.startswith(start)
    assert written.endswith(script.END + end)
    # The last one of each part, with its own commit.
    assert "| lint | ok | - | - | 1 min 01 s | `def5678` | 2026-05-04 |" in written
    assert "| docs | ok | - | - | 1 min 01 s | `abc1234` | 2026-05-04 |" in written
    assert "bad0000" not in written
    assert written.count(" --- |" * len(script.HEADINGS)) == 1


def test_page_without_a_place_is_refused(script: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Nothing\n")

    with pytest.raises(ValueError, match="to put the table between"):
        script.write(page, "text")


def test_a_part_of_the_run_arrives_on_the_page(tmp_path: Path) -> None:
    """The shell's half: what ``part`` hands over, for one that passes and one that fails."""
    text = (ROOT / ".ci" / "run").read_text()
    functions = re.findall(r"^(?:told|part)\(\) \{\n.*?^\}\n", text, re.MULTILINE | re.DOTALL)
    assert len(functions) == 2
    (tmp_path / "full-run.md").write_text(PAGE.read_text())
    shell = "\n".join(
        [
            "set -uo pipefail",
            'pages="$PWD_PAGES" work="$PWD_PAGES" commit=abc1234',
            *functions,
            'part good echo "=== 3 passed in 1.00s ==="',
            "part bad false",
            'part left-out echo "=== 5 passed in 1.00s ==="',
            '[ ! -e "$work/failed" ]',
        ]
    )

    ended = subprocess.run(
        ["bash", "-c", shell],
        cwd=ROOT,
        env={**os.environ, "PWD_PAGES": str(tmp_path), "INNGEST_CI_PARTS": "good\nbad\n"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1, ended.stderr
    page = (tmp_path / "full-run.md").read_text()
    assert re.search(
        r"^\| good \| ok \| 3 \| 0 \| 0 min \d\d s \| `abc1234` \|", page, re.MULTILINE
    )
    assert re.search(
        r"^\| bad \| FAILED \| - \| - \| 0 min \d\d s \| `abc1234` \|", page, re.MULTILINE
    )
    assert "left-out" not in page


def test_a_part_that_does_not_exist_is_refused_before_anything_runs() -> None:
    ended = subprocess.run(
        [ROOT / ".ci" / "full", "lint", "Django 7"], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 2
    assert "There is no part 'Django 7'" in ended.stderr


def test_help_lists_the_parts() -> None:
    ended = subprocess.run(
        [ROOT / ".ci" / "full", "--help"], capture_output=True, text=True, check=True
    )

    names = re.findall(r'part "([^"]+)"', (ROOT / ".ci" / "run").read_text())
    assert len(names) > 7
    for name in names:
        assert f"    {name}\n" in ended.stdout
