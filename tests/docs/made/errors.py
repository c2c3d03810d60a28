"""The table of error codes, and a page for each."""

from __future__ import annotations

import ast
import functools
import importlib
import pkgutil
from collections.abc import Iterator, Mapping

import inngest_django
from inngest_django import errors
from inngest_django.errors import InngestError
from inngest_django.remedies import REMEDIES
from tests.docs.made import framed, table
from tests.docs.pages import DOCS, Page
from tests.repo.readme import ROOT

PACKAGE = ROOT / "inngest_django"
FOLDER = DOCS / "reference" / "errors"


@functools.cache  # It imports and reads all of the package.
def classes() -> Mapping[str, tuple[type[InngestError], ...]]:
    """Return the error classes of each code; none for one that is only written into rows."""
    for module in pkgutil.walk_packages([str(PACKAGE)], "inngest_django."):
        if ".migrations" not in module.name:
            importlib.import_module(module.name)
    found: dict[str, tuple[type[InngestError], ...]] = {"unknown": (InngestError,)}
    for cls in _below(InngestError):
        if not cls.__name__.startswith("_") and "code" in vars(cls):
            found[cls.code] = (*found.get(cls.code, ()), cls)
    return {**dict.fromkeys(sorted(_written()), ()), **found}


def _below(base: type[InngestError]) -> Iterator[type[InngestError]]:
    for cls in base.__subclasses__():
        if cls.__module__.startswith("inngest_django"):
            yield cls
            yield from _below(cls)


def _written() -> set[str]:
    """Return the codes that the engine writes into rows without an exception."""
    return {
        keyword.value.value
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ErrorValue"
        for keyword in node.keywords
        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant)
    }


def overview() -> str:
    """Return the table of all codes."""
    rows = [
        [
            f"[`{code}`](errors/{code}.md)",
            ", ".join(f"`{name}`" for name in _names(code)) or "stored only",
            _retried(code),
            remedy.meaning,
        ]
        for code, remedy in REMEDIES.items()
    ]
    return table(["Code", "Class", "Retried", "Means"], rows)


def about(code: str) -> str:
    """Return the made part of a code's page."""
    remedy = REMEDIES[code]
    imported = [f"`from {_home(code, name)} import {name}`" for name in _names(code)]
    return "\n".join(
        [
            remedy.meaning,
            "",
            f"- Class: {'; '.join(imported) or 'none; it is stored with a run, and never raised'}",
            f"- Retried while attempts are left: {_retried(code)}",
            "",
            "## When it comes",
            "",
            *(f"- {cause}" for cause in _by_sentence(remedy.causes)),
            "",
            "## What to do",
            "",
            *(f"- {action}" for action in _by_sentence(remedy.actions)),
            "",
        ]
    )


def _by_sentence(texts: tuple[str, ...]) -> Iterator[str]:
    """Iterate over texts with a line for each sentence, as all pages have it."""
    for text in texts:
        yield text.replace(". ", ".\n  ")


def pages() -> list[Page]:
    """Return the pages of the codes."""
    return [Page(path) for path in sorted(FOLDER.glob("*.md"))]


def match_pages() -> None:
    """Begin the pages of new codes, and remove those of codes that are gone."""
    FOLDER.mkdir(exist_ok=True)
    for code in REMEDIES:
        path = FOLDER / f"{code}.md"
        if not path.exists():
            path.write_text(f"# {code}\n\n{framed(f'error {code}')}", encoding="utf-8")
    for one in pages():
        if one.path.stem not in REMEDIES:
            one.path.unlink()


def _names(code: str) -> list[str]:
    """Return the names under which the class of a code can be imported."""
    # A stand-in for one of them is no class to catch.
    public = [cls for cls in classes()[code] if cls.__module__ == errors.__name__]
    own = [cls.__name__ for cls in public or classes()[code]]
    also = [
        name for name, value in vars(errors).items() if value in classes()[code] and name not in own
    ]
    return [*own, *also]


def _home(code: str, name: str) -> str:
    if name in inngest_django.__all__:
        return "inngest_django"
    if hasattr(errors, name):
        return "inngest_django.errors"
    [cls] = [cls for cls in classes()[code] if cls.__name__ == name]
    parent = cls.__module__.rpartition(".")[0]
    return parent if hasattr(importlib.import_module(parent), name) else cls.__module__


def _retried(code: str) -> str:
    if code == "retry_after_error":
        return "yes, at its time"
    return "yes" if any(cls.is_retriable for cls in classes()[code]) else "no"
