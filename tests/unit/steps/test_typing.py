"""What type checkers say of code that uses the package: of a case that tries everything, the
demo shop, and the pages' own examples."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, Page
from tests.repo.readme import ROOT

CASE = Path(__file__).with_name("typing_case.py")
TYPED_PAGES = ["how-to/typed-events.md", "how-to/replay-a-run.md"]

# Once is enough: no profile changes what is checked.
pytestmark = pytest.mark.sqlite

Check = Callable[[Path, Path], dict[int, str]]


def _mypy(path: Path, scratch: Path) -> dict[int, str]:
    """Return what mypy says, strictly and as in a project without our configuration."""
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent",
         "--no-error-summary", f"--cache-dir={scratch / 'mypy'}", str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )  # fmt: skip
    assert checked.returncode in (0, 1), checked.stdout + checked.stderr
    found = re.findall(r"^[^:\n]+:(\d+): error: (.*)$", checked.stdout, re.MULTILINE)
    assert bool(found) == bool(checked.returncode), checked.stdout + checked.stderr
    return {int(line): text for line, text in found}


def _pyright(path: Path, scratch: Path, mode: str = "strict") -> dict[int, str]:
    """Return what pyright says; basedpyright is its code in a wheel that brings its own node."""
    config = scratch / "pyrightconfig.json"
    config.write_text(
        json.dumps({"include": [str(path)], "typeCheckingMode": mode, "extraPaths": [str(ROOT)]})
    )
    checked = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable,
         "-p", str(config)],
        capture_output=True,
        text=True,
        cwd=scratch,
        check=False,
    )  # fmt: skip
    assert checked.returncode in (0, 1), checked.stdout + checked.stderr
    report = json.loads(checked.stdout)
    assert report["summary"]["filesAnalyzed"] >= 1
    return {
        fault["range"]["start"]["line"] + 1: f"{Path(fault['file']).name}: {fault['message']}"
        for fault in report["generalDiagnostics"]
        if fault["severity"] == "error"
    }


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all, so that mypy reads the package once."""
    return tmp_path_factory.mktemp("types")


CHECKERS = pytest.mark.parametrize("check", [_mypy, _pyright])


@CHECKERS
def test_results_have_the_types_of_their_bodies(check: Check, scratch: Path) -> None:
    expected = {
        number
        for number, line in enumerate(CASE.read_text().splitlines(), 1)
        if line.endswith("# error")
    }

    found = check(CASE, scratch)

    assert set(found) == expected, found


@CHECKERS
@pytest.mark.parametrize("name", TYPED_PAGES)
def test_examples_of_typed_pages_are_clean(check: Check, name: str, scratch: Path) -> None:
    blocks = Page(DOCS / name).blocks("python")
    example = scratch / "example.py"
    code = "\n\n".join(block.code for block in blocks if not block.skipped)
    example.write_text(f"from __future__ import annotations\n\n{code}")

    assert check(example, scratch) == {}


def test_pyright_finds_nothing_in_the_demo(scratch: Path) -> None:
    """mypy checks it in bin/lint. Django's models need mypy's plugin to be strict about."""
    assert _pyright(ROOT / "project/shop/functions.py", scratch, mode="standard") == {}
