"""Brings the functions of the test modules into every process, worker or pytest.

Discovery reads the names of this module, so that each function is published here under the
name of its module and its own.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path

_TESTS = Path(__file__).resolve().parent.parent
# The folders whose test modules declare functions for a live worker.
FOLDERS = ("functional", "faults")


def _modules() -> list[str]:
    return [
        ".".join(("tests", *path.relative_to(_TESTS).with_suffix("").parts))
        for folder in FOLDERS
        for path in sorted((_TESTS / folder).rglob("test_*.py"))
    ]


for _name in _modules():
    try:
        _module = importlib.import_module(_name)
    except Exception:  # pytest reports the same error when it collects the file
        print(f"tests.app: {_name} cannot be imported", file=sys.stderr)
        traceback.print_exc()
        continue
    for _attribute, _value in list(vars(_module).items()):
        # By class name: this module must not decide what a durable function is.
        if type(_value).__name__ == "Function":
            globals()[f"{_name.replace('.', '_')}__{_attribute}"] = _value
