"""The checks find nothing in code that is meant: the demo, the pages, the tests' functions.

Where a test does on purpose what a check looks for, the line says so in a comment.
"""

from __future__ import annotations

import importlib
import linecache
import types
from collections.abc import Iterable
from typing import Any

import pytest

from inngest_django.functions.function import Function
from inngest_django.source.rules import findings
from inngest_django.source.texts import Library
from project.shop import functions as demo
from tests.docs.execution import execute
from tests.docs.pages import page, pages
from tests.repo.readme import ROOT


def functions_of(values: Iterable[Any]) -> list[Function]:
    found = [value for value in values if isinstance(value, Function)]
    return [*found, *(f.failure_function for f in found if f.failure_function is not None)]


def alarms(functions: Iterable[Function]) -> list[str]:
    library = Library()
    return [
        f"{finding.path}:{finding.line}: {finding.id} {finding.message}"
        for function in functions
        for finding in findings(function, library)
    ]


def test_the_demo() -> None:
    functions = functions_of(vars(demo).values())

    assert len(functions) > 10
    assert all(Library().text_of(function.handler) for function in functions)
    assert alarms(functions) == []


@pytest.mark.parametrize("name", [found.name for found in pages() if "@" in found.text])
def test_a_page(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    functions = functions_of(execute(name).names.values())
    # A page's blocks, each in its lines, are the source of its functions.
    lines = [""] * len(page(name).text.splitlines())
    for block in page(name).blocks("python"):
        code = block.code.splitlines()
        lines[block.line - 1 : block.line - 1 + len(code)] = code
    path = str(page(name).path)
    source = [f"{line}\n" for line in lines]
    monkeypatch.setitem(linecache.cache, path, (len(source), None, source, path))

    assert all(Library().text_of(function.handler) for function in functions)
    assert alarms(functions) == []


def test_the_functions_of_the_tests() -> None:
    modules: list[types.ModuleType] = [
        importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
    ]
    # Of lists and dicts, too: parametrised tests keep theirs there.
    values = [value for module in modules for value in vars(module).values()]
    values += [inner for value in values if isinstance(value, dict) for inner in value.values()]
    values += [inner for value in values if isinstance(value, list) for inner in value]
    functions = functions_of({id(value): value for value in values}.values())

    assert len(functions) > 250
    assert alarms(functions) == []
