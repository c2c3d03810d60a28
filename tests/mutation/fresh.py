"""A pytest plugin: every test begins without what earlier ones left in the package's caches.

mutmut tests a mutant in a fork of the process that has just run the tests unchanged. An
expression compiled there would be taken from the cache, and a mistake in the compiler missed.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

from inngest_django.expressions import programs


def pytest_runtest_setup() -> None:
    programs._programs.clear()
    for cached in _caches(len(sys.modules)):
        cached.cache_clear()


@functools.lru_cache(maxsize=1)
def _caches(_: int) -> list[Any]:
    """Return the package's caches, looked for anew when a module has been imported."""
    modules = [module for name, module in sys.modules.items() if name.startswith("inngest_django")]
    found = {id(v): v for module in modules for v in list(vars(module).values()) if _is_cache(v)}
    return list(found.values())


def _is_cache(value: object) -> bool:
    return isinstance(value, functools._lru_cache_wrapper)
