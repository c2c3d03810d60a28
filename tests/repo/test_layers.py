"""Packages import downwards only, as pyproject.toml draws it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.repo.readme import ROOT


def test_every_import_contract_is_kept() -> None:
    command = Path(sys.executable).parent / "lint-imports"

    result = subprocess.run(
        [command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr
