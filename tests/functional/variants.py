"""Running one test for a plain and an async function."""

from __future__ import annotations

import pytest

from inngest_django import Function


def both(plain: Function, coroutine: Function) -> pytest.MarkDecorator:
    """Return the mark that calls a test with ``function`` set to each of the two in turn."""
    if plain.is_handler_async or not coroutine.is_handler_async:
        raise AssertionError("both() takes the plain function first, then the async one.")
    return pytest.mark.parametrize(
        "function", [pytest.param(plain, id="sync"), pytest.param(coroutine, id="async")]
    )
