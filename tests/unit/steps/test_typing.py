from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CASE = Path(__file__).with_name("typing_case.py")


def test_results_have_the_types_of_their_bodies(tmp_path: Path) -> None:
    expected = {
        number
        for number, line in enumerate(CASE.read_text().splitlines(), 1)
        if line.endswith("# error")
    }

    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent",
         f"--cache-dir={tmp_path}", str(CASE)],
        capture_output=True,
        text=True,
        cwd=CASE.parents[3],
        check=False,
    )  # fmt: skip

    found = {
        int(line.split(":")[1])
        for line in checked.stdout.splitlines()
        if line.startswith(str(CASE.relative_to(CASE.parents[3]))) and ": error:" in line
    }
    assert found == expected, checked.stdout + checked.stderr
