"""A fresh reader's ten minutes: what the page says, in an empty folder, with the built wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.ten_minutes import PAGE, again, build_wheel, follow

pytestmark = [pytest.mark.sqlite, pytest.mark.timeout(600)]


def test_reader_has_a_tested_function(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()

    told = follow(PAGE, folder, build_wheel(tmp_path))

    with capsys.disabled():
        print(f"\nthe reader's ten minutes took {told.seconds:.0f} s")
    assert "System check identified no issues" in told.output
    assert "shop-remind" in told.output
    assert " 2 passed in " in told.output
    # The end of the page: a reader who changes the function sees the run.
    functions = told.folder / "shop" / "functions.py"
    functions.write_text(functions.read_text().replace("your cart waits", "come back"))
    failing = again(told, "python -m pytest")
    assert " 1 failed, 1 passed in " in failing.stdout
    assert "of shop-remind: completed" in failing.stdout
    assert "step give-them-time" in failing.stdout
