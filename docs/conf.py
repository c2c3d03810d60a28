"""Builds these pages with Sphinx; `sh bin/docs` calls it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import django

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# Some docstrings are those of models, which exist in a Django project only.
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
django.setup()

project = "inngest-django"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.mermaid",
]
html_theme = "furo"
html_title = "inngest-django"
html_copy_source = False
html_show_copyright = False

# The pages are ordinary Markdown, to be read on a code host too.
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

autodoc_member_order = "groupwise"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
# A name in a docstring that leads nowhere is a warning, unless it is one of these: nothing
# is fetched from other projects, and what is not public has no place to lead to.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(collections\.abc|datetime|dt|pathlib)\..+|BaseModel"),
    ("py:.*", r"inngest_django\.(drivers|errors|functions|models|testing)\..+|_\w+"),
    ("py:exc", r"FunctionConfigInvalidError|OutsideStepError|RecordingError"),
]
# Otherwise an attribute is described twice: by its class and for itself.
napoleon_use_ivar = True

_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_ITEM = re.compile(r"^- \[(.+)\]\((.+)\.(?:md|rst)\)$", re.MULTILINE)
_CHANGELOG = re.compile(r"\((?:\.\./)+CHANGELOG\.md\)")


def _adapt(_app: Any, name: str, source: list[str]) -> None:
    """Change what a code host and Sphinx read differently."""
    # The file lies outside of what Sphinx builds; a page includes it.
    source[0] = _CHANGELOG.sub("(/reference/changelog.rst)", source[0])
    if name == "index":
        source[0] += _contents(source[0])
    if name == "reference/errors":
        # Its table links to them; so does the side bar.
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\nerrors/*\n```\n"


def _contents(index: str) -> str:
    """Make the side bar of the lists that the index has anyway.

    A page that is in none of them is one that Sphinx warns about.
    """
    parts = _SECTION.split(index)[1:]
    trees = []
    for caption, text in zip(parts[::2], parts[1::2], strict=True):
        lines = [f"{title} <{target}>" for title, target in _ITEM.findall(text)]
        trees += ["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *lines, "```"]
    return "\n".join([*trees, ""])


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _adapt)
