"""The page of the reference says what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from inngest_django import expressions
from inngest_django.expressions import guards, lowering
from inngest_django.expressions.functions import FUNCTIONS

PAGE = (Path(__file__).parents[3] / "docs/reference/expressions.md").read_text()
EVENT = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
ROW = re.compile(r"^\| `(.+?)` \| (?:`(.+?)`|(error)) \|$", re.MULTILINE)
TABLES = re.findall(r"\| Expression \| Value \|\n.*?(?:\n\n|\Z)", PAGE, re.DOTALL)
ROWS = [row for table in TABLES for row in ROW.findall(table)]


def test_rows_are_found() -> None:
    assert len(TABLES) == 6
    assert len(ROWS) == sum(table.strip().count("\n") - 1 for table in TABLES)


@pytest.mark.parametrize(("source", "value", "error"), ROWS)
def test_example_gives_what_the_page_says(source: str, value: str, error: str) -> None:
    program = expressions.compile(source.replace(r"\|", "|"), kind="wait")

    if error:
        with pytest.raises(expressions.ExpressionError):
            program.evaluate(event=EVENT, arriving=EVENT)
    else:
        assert program.evaluate(event=EVENT, arriving=EVENT) == json.loads(value)


def test_page_names_every_function_and_macro() -> None:
    for name in [*FUNCTIONS, "has"]:
        assert re.search(rf"`[^`|]*\b{name}\(", PAGE), name
    for name in lowering.MACROS:
        assert f"`{name}`" in PAGE


def test_page_states_the_limits() -> None:
    for number in (
        guards.MAX_CHARACTERS,
        guards.MAX_KEY_CHARACTERS,
        guards.MAX_BACKSLASHES,
        lowering.MAX_NODES,
        lowering.MAX_DEPTH,
    ):
        assert f"{number:,}" in PAGE
