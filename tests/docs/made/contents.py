"""Which parts are made, and which pages have them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from inngest_django.remedies import REMEDIES
from tests.docs.made import checks, commands, errors, settings
from tests.docs.pages import Page, page

MADE: Mapping[str, Callable[[], str]] = {
    "settings": settings.keys,
    "checks": checks.overview,
    "errors": errors.overview,
    **{name: functools.partial(commands.about, name) for name in commands.NAMES},
    **{f"error {code}": functools.partial(errors.about, code) for code in REMEDIES},
}


def with_parts() -> list[Page]:
    """Return the pages that have made parts."""
    names = ("settings", "commands", "errors", "system-checks")
    return [*(page(f"reference/{name}.md") for name in names), *errors.pages()]
