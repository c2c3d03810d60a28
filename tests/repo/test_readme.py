"""The README says what a newcomer can do."""

from __future__ import annotations

import ast
import re

import pytest

from tests.repo.readme import ROOT, blocks, commands


def test_first_two_commands_run_the_demo_and_the_tests() -> None:
    demo, test = commands()[:2]

    assert "manage.py shop_demo" in (ROOT / demo.removeprefix("sh ")).read_text()
    assert "-m pytest" in (ROOT / test.removeprefix("sh ")).read_text()


def test_every_python_block_is_python() -> None:
    python = blocks("python")

    assert len(python) >= 2
    for block in python:
        ast.parse(block)


def test_example_is_twelve_lines_at_most() -> None:
    example = blocks("python")[0]

    assert len([line for line in example.splitlines() if line.strip()]) <= 12


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_link_to_a_file_has_its_file(page: str) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", (ROOT / page).read_text())

    assert [target for target in targets if not (ROOT / target).exists()] == []
