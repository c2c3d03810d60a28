"""Running one test for a plain and an async function, and the suite both ways."""

from __future__ import annotations

import pytest
from django.conf import settings

from inngest_django import Function

# Whether this session runs functions checkpointed (``INNGEST_TEST_CHECKPOINTING=1``). Only
# how often a handler is entered, and the hooks around that, may depend on it.
CHECKPOINTED: bool = settings.INNGEST["CHECKPOINTING"]


def both(plain: Function, coroutine: Function) -> pytest.MarkDecorator:
    """Return the mark that calls a test with ``function`` set to each of the two in turn."""
    if plain.is_handler_async or not coroutine.is_handler_async:
        raise AssertionError("both() takes the plain function first, then the async one.")
    return pytest.mark.parametrize(
        "function", [pytest.param(plain, id="sync"), pytest.param(coroutine, id="async")]
    )
