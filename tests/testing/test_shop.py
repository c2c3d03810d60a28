"""The demo shop's own suite, which stands beside its functions, on this session's database."""

from __future__ import annotations

from pathlib import Path

import pytest

from inngest_django import Function
from project.shop import functions

pytest.register_assert_rewrite("project.shop.tests.test_functions")

from project.shop.tests import test_functions  # noqa: E402
from project.shop.tests.test_functions import *  # noqa: E402, F403


def test_every_function_of_the_shop_is_tested_there() -> None:
    suite = Path(test_functions.__file__).read_text()
    declared = [name for name, value in vars(functions).items() if isinstance(value, Function)]

    assert len(declared) == 13
    assert [name for name in declared if f"functions.{name}" not in suite] == []
