"""Every Python block of every page runs; every other block is what it says it is."""

from __future__ import annotations

import configparser
import json
import shlex

import pytest
from django.core.management import get_commands
from django.test import override_settings

from inngest_django import conf
from tests.docs.execution import execute
from tests.docs.pages import Page, pages

# A block that cannot run says why, and there are few.
MOST_SKIPPED = 2
PYTHON = [one for one in pages() if one.blocks("python")]


@pytest.mark.parametrize("one", PYTHON, ids=lambda one: one.name)
def test_python_blocks_run_in_order(one: Page) -> None:
    executed = execute(one.name)

    for settings in executed.settings:
        with override_settings(INNGEST=settings):
            assert conf.problems() == ()


def test_few_blocks_are_skipped() -> None:
    skipped = [
        f"{one.name}:{block.line}: {block.skipped}"
        for one in PYTHON
        for block in one.blocks("python")
        if block.skipped
    ]

    assert len(skipped) <= MOST_SKIPPED, skipped


@pytest.mark.parametrize("one", pages(), ids=lambda one: one.name)
def test_languages_are_known(one: Page) -> None:
    languages = {block.language for block in one._blocks()}

    assert languages <= {"python", "console", "diff", "mermaid", "ini", "json", "text"}


@pytest.mark.parametrize("one", pages(), ids=lambda one: one.name)
def test_console_blocks_call_commands_that_exist(one: Page) -> None:
    commands = get_commands()

    for block in one.blocks("console"):
        lines = block.code.replace("\\\n", " ").splitlines()
        for line in (line.removeprefix("$ ") for line in lines if line.startswith("$ ")):
            words = shlex.split(line, comments=True)
            if words[:2] == ["python", "manage.py"]:
                assert words[2] in commands, f"{one.name}: {line}"


@pytest.mark.parametrize("one", pages(), ids=lambda one: one.name)
def test_json_and_ini_blocks_can_be_read(one: Page) -> None:
    for block in one.blocks("json"):
        json.loads(block.code)
    for block in one.blocks("ini"):
        configparser.RawConfigParser(strict=False).read_string(block.code)
