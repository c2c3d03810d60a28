"""What the names in a function's source stand for, without calling or importing anything."""

from __future__ import annotations

import ast
import builtins
import datetime as dt
import random
import sys
import types
from collections.abc import Mapping
from typing import Any

from inngest_django.steps import current

UNKNOWN = object()

# Calls whose value differs from one entry of a function to the next, by module and name.
_CHANGING = frozenset(
    {("time", name) for name in ("time", "time_ns", "monotonic", "monotonic_ns")}
    | {("time", name) for name in ("perf_counter", "perf_counter_ns", "process_time")}
    | {("uuid", name) for name in ("uuid1", "uuid4", "uuid6", "uuid7")}
    | {("secrets", name) for name in ("token_bytes", "token_hex", "token_urlsafe")}
    | {(module, name) for module in ("posix", "nt") for name in ("urandom", "getrandom")}
    | {("django.utils.timezone", "now"), ("django.utils.crypto", "get_random_string")}
)
# These read the clock only when they are given no moment.
_CHANGING_WITHOUT_ARGUMENTS = frozenset(
    {("django.utils.timezone", "localtime"), ("django.utils.timezone", "localdate")}
    | {("time", name) for name in ("localtime", "gmtime", "ctime")}
)
_CLOCK_METHODS = frozenset({"now", "utcnow", "today"})
_QUIET_RANDOM = frozenset({"seed", "getstate", "setstate"})
_SHARED_RANDOM = getattr(random.random, "__self__", None)
_FUNCTION_TYPES = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)


class Names:
    """The names that a function sees around it."""

    def __init__(self, function: types.FunctionType) -> None:
        self._globals = function.__globals__
        self._free: dict[str, Any] = {}
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=False
        ):
            try:
                self._free[name] = cell.cell_contents
            except ValueError:  # Not assigned yet.
                self._free[name] = UNKNOWN

    def value(self, node: ast.expr, local: Mapping[str, Any]) -> Any:
        """Return the object that an expression of names and dots stands for, or ``UNKNOWN``.

        Args:
            local: Names of the function's own; only imported ones have a value.
        """
        if isinstance(node, ast.Name):
            if node.id in local:
                return getattr(local[node.id], "imported", UNKNOWN)
            for names in (self._free, self._globals, vars(builtins)):
                if node.id in names:
                    return names[node.id]
            return UNKNOWN
        if isinstance(node, ast.Attribute):
            return _attribute(self.value(node.value, local), node.attr)
        return UNKNOWN


def imported(module: str | None, name: str | None = None) -> Any:
    """Return what an import inside a function gives, when the module is loaded already."""
    found = sys.modules.get(module or "")
    if found is None or name is None:
        return UNKNOWN if found is None else found
    return vars(found).get(name, sys.modules.get(f"{module}.{name}", UNKNOWN))


def _attribute(value: Any, name: str) -> Any:
    # Of modules and date classes only: what a user's object does when it is asked for an
    # attribute, such as a lazy setting, is none of a reader's business.
    if isinstance(value, types.ModuleType):
        return vars(value).get(name, UNKNOWN)
    if isinstance(value, type) and issubclass(value, dt.date):
        return getattr(value, name, UNKNOWN)
    return UNKNOWN


def is_changing(value: Any, *, has_arguments: bool) -> bool:
    """Whether a function returns something else whenever it is called."""
    if not isinstance(value, _FUNCTION_TYPES):
        return False
    owner = getattr(value, "__self__", None)
    name = value.__name__
    if isinstance(owner, type):
        return issubclass(owner, dt.date) and name in _CLOCK_METHODS
    if isinstance(owner, random.Random):
        # An instance of the author's own may well have a fixed seed.
        is_shared = owner is _SHARED_RANDOM or isinstance(owner, random.SystemRandom)
        return is_shared and name not in _QUIET_RANDOM
    key = (getattr(value, "__module__", None), name)
    return key in _CHANGING or (not has_arguments and key in _CHANGING_WITHOUT_ARGUMENTS)


def is_client(value: Any) -> bool:
    """Whether an object makes functions and sends events."""
    kind = type(value)
    return not isinstance(value, type) and all(
        callable(getattr(kind, name, None)) for name in ("create_function", "send_sync")
    )


def gives_tools(value: Any) -> bool:
    """Whether it is the function that returns the step tools of where it is called."""
    return value is current.get_step_context


def is_base_exception(value: Any) -> bool:
    """Whether ``except`` with this class stops the unwinding of a call."""
    return value is BaseException


def decorated_step(value: Any) -> str | None:
    """Return the id of a function that ``experimental.step`` made a step, or None."""
    code = getattr(value, "__code__", None)
    if not isinstance(value, types.FunctionType) or code is None:
        return None
    if code.co_filename != current.__file__ or "step_id" not in code.co_freevars:
        return None
    cells = value.__closure__ or ()
    found = cells[code.co_freevars.index("step_id")].cell_contents
    return found if isinstance(found, str) else None
