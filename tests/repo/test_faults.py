"""The page of faults and the tests say the same."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

from tests.repo.readme import ROOT

PAGE = ROOT / "docs" / "reference" / "faults.md"
# Rows that every change must pass.
ALWAYS = {*range(1, 8), 9, *range(13, 21), 22, 24, 25, 30}


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
    """Return by row when the page says that it runs, and in which files of ``tests/faults``."""
    lines = re.findall(r"^\| (\d+) \| .* \| (.*) \| (`test.*`) \|$", PAGE.read_text(), re.MULTILINE)
    return {
        int(row): (when, set(re.findall(r"`(\S+?)`", files)))
        for row, when, files in lines
        if "::" not in files
    }


def _told_elsewhere() -> dict[int, tuple[str, list[str]]]:
    """Return by row when the page says that it runs, and in which tests of other folders."""
    lines = re.findall(r"^\| (\d+) \| .* \| (.*) \| (`.*::.*`) \|$", PAGE.read_text(), re.MULTILINE)
    return {int(row): (when, re.findall(r"`(\S+?)`", tests)) for row, when, tests in lines}


def _runs_always(test: str) -> bool:
    """Return whether a test, named as pytest does, runs with every change.

    Raises:
        AssertionError: There is none of that name.
    """
    path, _, name = test.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert found, f"{PAGE.name} names {test}, which is not there"
    marks = [ast.unparse(each) for each in found[0].decorator_list]
    marks += [ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign)]
    return not any(re.search(r"^pytest\.mark\.slow|^pytestmark = .*slow", mark) for mark in marks)


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
    always |= {row for row, (when, _) in _told_elsewhere().items() if when == "always"}

    assert always >= ALWAYS


def test_rows_that_are_shown_elsewhere_have_the_tests_that_the_page_names() -> None:
    told = _told_elsewhere()

    assert told
    for row, (when, tests) in told.items():
        found = {_runs_always(test) for test in tests}
        assert when == ("always" if True in found else "by command"), row
