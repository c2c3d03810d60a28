"""What type checkers say of code that uses the package: of a case that tries everything, of
pages' examples, and of the demo shop. Each checker runs once for all files of a strictness."""

from __future__ import annotations

import collections
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.docs.pages import page
from tests.repo.readme import ROOT

# Once is enough: no profile changes what is checked.
pytestmark = pytest.mark.sqlite

CASE = Path(__file__).with_name("typing_case.py")
TYPED_PAGES = ["typed-events", "replay-a-run", "test-your-functions"]
SHOP = [ROOT / "project/shop/functions.py", ROOT / "project/shop/tests/test_functions.py"]

Findings = Mapping[str, Mapping[int, str]]


def _mypy(files: Sequence[Path], scratch: Path) -> Findings:
    """Return what mypy says by file and line, strictly and without our configuration."""
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent",
         "--no-error-summary", f"--cache-dir={scratch / 'mypy'}", *map(str, files)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )  # fmt: skip
    assert checked.returncode in (0, 1), checked.stdout + checked.stderr
    found: dict[str, dict[int, str]] = collections.defaultdict(dict)
    for name, line, text in re.findall(
        r"^([^:\n]+):(\d+): error: (.*)$", checked.stdout, re.MULTILINE
    ):
        found[Path(name).name][int(line)] = text
    assert bool(found) == bool(checked.returncode), checked.stdout + checked.stderr
    return found


def _pyright(files: Sequence[Path], scratch: Path, mode: str = "strict") -> Findings:
    """Return what pyright says; basedpyright is its code in a wheel that brings its own node."""
    config = scratch / f"{mode}.json"
    config.write_text(
        json.dumps(
            {"include": [*map(str, files)], "typeCheckingMode": mode, "extraPaths": [str(ROOT)]}
        )
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
    assert report["summary"]["filesAnalyzed"] == len(files)
    found: dict[str, dict[int, str]] = collections.defaultdict(dict)
    for fault in report["generalDiagnostics"]:
        if fault["severity"] == "error":
            line = fault["range"]["start"]["line"] + 1
            found[Path(fault["file"]).name][line] = fault["message"]
    return found


def _example(name: str) -> str:
    return f"{name.replace('-', '_')}.py"


@pytest.fixture(scope="module", params=[_mypy, _pyright])
def strictly(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """What a checker finds in its strict mode."""
    scratch = tmp_path_factory.mktemp("types")
    files = [CASE]
    for name in TYPED_PAGES:
        blocks = page(f"how-to/{name}.md").blocks("python")
        code = "\n\n".join(block.code for block in blocks if not block.skipped)
        files.append(scratch / _example(name))
        files[-1].write_text(f"from __future__ import annotations\n\n{code}")
    found: Findings = request.param(files, scratch)
    return found


def test_results_have_the_types_of_their_bodies(strictly: Findings) -> None:
    expected = {
        number
        for number, line in enumerate(CASE.read_text().splitlines(), 1)
        if line.endswith("# error")
    }

    found = strictly.get(CASE.name, {})

    assert set(found) == expected, found


@pytest.mark.parametrize("name", TYPED_PAGES)
def test_examples_of_typed_pages_are_clean(strictly: Findings, name: str) -> None:
    assert strictly.get(_example(name), {}) == {}


def test_pyright_finds_nothing_in_the_demo(tmp_path: Path) -> None:
    """mypy checks it in bin/lint. Django's models need mypy's plugin to be strict about."""
    assert _pyright(SHOP, tmp_path, mode="standard") == {}
