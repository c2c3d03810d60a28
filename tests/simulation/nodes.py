"""Tests by their ids, as the tables of rules and mistakes name them."""

from __future__ import annotations

import ast
import fnmatch
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


def is_collected(node: str, config: pytest.Config) -> bool:
    """Whether pytest takes what an id names for a test: one function of its module."""
    path, _, name = node.partition("::")
    return (
        any(fnmatch.fnmatch(Path(path).name, pattern) for pattern in config.getini("python_files"))
        and any(name.startswith(prefix) for prefix in config.getini("python_functions"))
        and len(_functions(node)) == 1
        and not any("fixture" in ast.unparse(one) for one in _functions(node)[0].decorator_list)
    )


def makes(node: str, mistake: str) -> bool:
    """Whether a test makes the mistake of that name."""
    return any(
        isinstance(call, ast.Call) and ast.unparse(call) == ast.unparse(_call_for(mistake))
        for function in _functions(node)
        for call in ast.walk(function)
    )


def _call_for(mistake: str) -> ast.expr:
    return ast.parse(f"mistakes.named({mistake!r})", mode="eval").body


def _functions(node: str) -> list[ast.FunctionDef]:
    """Return what a module defines under the name; no method, nothing inside a function."""
    path, _, name = node.partition("::")
    file = _ROOT / path
    if not file.is_file():
        return []
    found = ast.parse(file.read_text()).body
    return [one for one in found if isinstance(one, ast.FunctionDef) and one.name == name]
