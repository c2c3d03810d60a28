"""Examples of error codes that are tests: each passes, and is about the code of its page."""

from __future__ import annotations

import ast
import inspect
import logging
from collections.abc import Callable
from typing import Any

import pytest

from inngest_django.functions import registry

# The kit's own fixture, also where the package is not installed with its entry point.
from inngest_django.testing.plugin import durable
from tests.docs.execution import execute
from tests.docs.made import errors
from tests.docs.pages import Page

__all__ = ["durable"]

pytestmark = pytest.mark.django_db

PAGES = [one for one in errors.pages() if "def test_" in one.text]
# Stands in no row and reaches no code of the user's: a line of the log is all of it.
LOGGED = {"lease_lost": "call given up: the lease was lost"}


def _tests(one: Page) -> dict[str, Callable[..., None]]:
    names = execute(one.name).names
    return {name: value for name, value in names.items() if name.startswith("test_")}


@pytest.mark.parametrize("one", PAGES, ids=lambda one: one.path.stem)
def test_the_tests_of_a_page_pass(one: Page, request: pytest.FixtureRequest, caplog: Any) -> None:
    with registry.only([]), caplog.at_level(logging.WARNING):
        for test in _tests(one).values():
            test(
                **{
                    name: request.getfixturevalue(name)
                    for name in inspect.signature(test).parameters
                }
            )

    assert LOGGED.get(one.path.stem, "") in caplog.text


@pytest.mark.parametrize("one", PAGES, ids=lambda one: one.path.stem)
def test_they_assert_the_code(one: Page) -> None:
    code = one.path.stem
    [block] = one.blocks("python")
    compared = {
        side.value
        for node in ast.walk(ast.parse(block.code))
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare)
        for side in node.test.comparators
        if isinstance(side, ast.Constant)
    }

    assert code in compared or code in LOGGED


def test_every_code_has_an_example() -> None:
    assert [one.path.stem for one in errors.pages() if not one.blocks("python")] == []
