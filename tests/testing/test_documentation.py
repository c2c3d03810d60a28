"""The tests on the page pass: it shows them as a reader's own."""

from __future__ import annotations

import inspect
import unittest
from collections.abc import Callable
from typing import Any

import pytest

from inngest_django.testing import Durable
from tests.docs.execution import execute

PAGE = execute("how-to/test-your-functions.md")
TESTS = {name: value for name, value in PAGE.names.items() if name.startswith("test_")}


@pytest.mark.parametrize("name", TESTS)
def test_of_the_page_passes(name: str, request: pytest.FixtureRequest) -> None:
    test: Callable[..., Any] = TESTS[name]

    test(
        **{wanted: request.getfixturevalue(wanted) for wanted in inspect.signature(test).parameters}
    )


def test_of_a_schedule_passes(durable: Durable) -> None:
    execute("how-to/start-by-the-clock.md")["test_a_report_each_week"](durable)


def test_timeline_on_the_page_is_what_the_kit_prints(durable: Durable, settings: Any) -> None:
    settings.INNGEST = {}
    run = durable.run(PAGE["sell"], {"number": "A-1", "card": "declined"})

    with pytest.raises(AssertionError) as failed:
        run.assert_completed()

    from tests.docs.pages import page

    [shown] = page("how-to/test-your-functions.md").blocks("text")
    mine = str(failed.value).splitlines()
    theirs = shown.code.splitlines()
    assert mine[0] == theirs[0]
    assert mine[3:] == theirs[3:]


def test_the_pages_class_is_a_test_case() -> None:
    case: type[unittest.TestCase] = PAGE["SaleTests"]

    assert unittest.defaultTestLoader.getTestCaseNames(case) == ["test_nobody_confirms"]
