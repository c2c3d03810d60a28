"""Which parts are made, and which pages have them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from inngest_django.remedies import REMEDIES
from tests.docs.made import errors
from tests.docs.pages import Page, page

MADE: Mapping[str, Callable[[], str]] = {
    "errors": errors.overview,
    **{f"error {code}": functools.partial(errors.about, code) for code in REMEDIES},
}


def with_parts() -> list[Page]:
    """Return the pages that have made parts."""
    return [page("reference/errors.md"), *errors.pages()]
