"""The form of a page: one title, one sentence a line, one mode."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import Page, pages

# After one of these a capital begins no sentence.
_ABBREVIATIONS = ("e.g.", "i.e.", "vs.")
_MODES = {"tutorial", "how-to", "reference", "explanation"}


@pytest.mark.parametrize("one", pages(), ids=lambda one: one.name)
def test_page_begins_with_its_only_title(one: Page) -> None:
    titles = re.findall(r"^# .+$", one.prose, re.MULTILINE)

    assert len(titles) == 1
    assert one.text.startswith(titles[0])


@pytest.mark.parametrize("one", pages(), ids=lambda one: one.name)
def test_lines_hold_one_sentence(one: Page) -> None:
    several = []
    for number, line in enumerate(one.prose.splitlines(), 1):
        if line.startswith("|"):
            continue
        text = re.sub(r"`[^`]*`", "x", re.sub(r"^(\s*\d+\.|#+ (\d+\.)?) ", "", line))
        several += [
            f"{one.name}:{number}: {line}"
            for end in re.finditer(r"[a-z0-9)`x][.!?] (?=[A-Z`\[])", text)
            if not text[: end.end()].rstrip().endswith(_ABBREVIATIONS)
        ]

    assert several == []


@pytest.mark.parametrize("one", pages(), ids=lambda one: one.name)
def test_page_is_of_one_mode(one: Page) -> None:
    folder = one.name.partition("/")[0]

    assert folder in _MODES or one.name == "index.md"
