"""Every link inside the documentation leads somewhere, and every page can be reached."""

from __future__ import annotations

import pytest

from tests.docs.pages import Page, page, pages
from tests.repo.readme import ROOT


def _inner(one: Page) -> list[tuple[str, str, str]]:
    """Return link, path and anchor of each link that stays in the repository."""
    found = []
    for link in one.links():
        if "://" not in link and not link.startswith("mailto:"):
            path, _, anchor = link.partition("#")
            found.append((link, path, anchor))
    return found


@pytest.mark.parametrize("one", pages(), ids=lambda one: one.name)
def test_inner_links_lead_to_files_and_headings_that_exist(one: Page) -> None:
    dead = []
    for link, path, anchor in _inner(one):
        target = (one.path.parent / path).resolve() if path else one.path
        if (
            not target.exists()
            or not target.is_relative_to(ROOT)
            or (anchor and target.suffix == ".md" and anchor not in Page(target).anchors())
        ):
            dead.append(link)

    assert dead == []


def test_every_page_is_linked_from_the_index_or_the_table_of_errors() -> None:
    linked = {
        (one.path.parent / path).resolve()
        for one in (page("index.md"), page("reference/errors.md"))
        for _, path, _ in _inner(one)
        if path
    }

    assert {one.name for one in pages() if one.path not in linked} == {"index.md"}
