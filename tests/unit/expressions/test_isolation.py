"""What the package does to the process around it."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys

from inngest_django import expressions

heavy = {"celpy", "lark", "re2", "django.db"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
sys.setrecursionlimit(4_321)
expressions.compile("event.data.x == 1", kind="filter")
assert sys.getrecursionlimit() == 4_321
assert "celpy" in sys.modules
assert "re2" in sys.modules or "celpy.evaluation" in sys.modules
assert "django" not in sys.modules
"""

EXPLODING = """
import sys

import celpy.celparser

from inngest_django import expressions

real = celpy.celparser.CELParser.__init__


def lowering(self, *args, **kwargs):
    sys.setrecursionlimit(2_500)
    real(self, *args, **kwargs)


celpy.celparser.CELParser.__init__ = lowering
sys.setrecursionlimit(4_321)
from inngest_django.expressions import grammar

grammar._load()
assert sys.getrecursionlimit() == 4_321
"""


def run(script: str) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=60)


def test_trap_11_recursion_limit_and_imports() -> None:
    run(SCRIPT)


def test_trap_11_recursion_limit_is_restored_if_the_library_lowers_it() -> None:
    run(EXPLODING)
