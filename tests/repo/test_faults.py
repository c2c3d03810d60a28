"""The page of faults and the tests say the same."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

from tests.repo.readme import ROOT

PAGE = ROOT / "docs" / "reference" / "faults.md"
# Rows that every change must pass.
ALWAYS = {*range(1, 8), 9, *range(13, 21)}


def _marked() -> dict[int, dict[str, bool]]:
    """Return by row and file whether all of its tests are slow."""
    found: dict[int, dict[str, bool]] = defaultdict(dict)
    for path in sorted((ROOT / "tests" / "faults").glob("test_*.py")):
        tree = ast.parse(path.read_text())
        is_slow_file = any(
            isinstance(node, ast.Assign) and "pytest.mark.slow" in ast.unparse(node)
            for node in tree.body
        )
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef):
                continue
            decorators = [ast.unparse(each) for each in node.decorator_list]
            is_slow = is_slow_file or "pytest.mark.slow" in decorators
            for text in decorators:
                if match := re.match(r"pytest\.mark\.matrix\((\d+), ", text):
                    files = found[int(match[1])]
                    files[path.name] = files.get(path.name, True) and is_slow
    return found


def _told() -> dict[int, tuple[str, set[str]]]:
    """Return by row when the page says that it runs, and in which files."""
    lines = re.findall(r"^\| (\d+) \| .* \| (.*) \| (`.*`) \|$", PAGE.read_text(), re.MULTILINE)
    return {int(row): (when, set(re.findall(r"`(\S+?)`", files))) for row, when, files in lines}


def test_every_row_on_the_page_has_the_tests_that_it_names() -> None:
    assert {row: files for row, (_, files) in _told().items()} == {
        row: set(files) for row, files in _marked().items()
    }


def test_rows_run_when_the_page_says() -> None:
    marked = _marked()

    assert {row: when for row, (when, _) in _told().items()} == {
        row: "by command" if all(files.values()) else "always" for row, files in marked.items()
    }


def test_the_rows_that_every_change_must_pass_are_there() -> None:
    always = {row for row, files in _marked().items() if not all(files.values())}

    assert always >= ALWAYS
