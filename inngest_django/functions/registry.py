"""The functions that this process knows.

Functions come from ``functions.py`` of the installed apps, and from explicit lists
(``serve``), which win. One object is one function, however many modules import it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from inngest_django.errors import ConfigError, EventDataError
from inngest_django.events import Event
from inngest_django.functions.event_types import EventType, problem
from inngest_django.functions.function import Function
from inngest_django.functions.triggers import TriggerEvent, event_types, patterns

if TYPE_CHECKING:
    from inngest_django.expressions import ExpressionError, Filters, Program

logger = logging.getLogger(__name__)

_lock = threading.RLock()
_discovered: list[Function] = []
_explicit: list[Function] = []
_version = 0
_index: _Index | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Duplicate:
    """An id that different functions were registered with."""

    id: str
    functions: tuple[Function, ...]

    def __str__(self) -> str:
        places = ", ".join(
            f"{function.handler.__module__}.{getattr(function.handler, '__qualname__', '?')}"
            for function in self.functions
        )
        return f'"{self.id}" ({places})'


class _Index:
    """What is derived from the registered set; made anew when the set changes."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self.functions = functions
        self.ids = tuple(functions)
        self.triggers: dict[str, list[tuple[Function, TriggerEvent, Program | None]]] = {}
        # By trigger text, so that no number of event names makes it grow.
        self.unfiltered: dict[str, list[Function]] = {}
        self.filters: dict[str, Filters[Function]] = {}
        self.typed: dict[str, dict[str, list[EventType[Any]]]] = {}
        for function in functions.values():
            for trigger in function.triggers:
                if isinstance(trigger, TriggerEvent):
                    self._add(function, trigger)

    def _add(self, function: Function, trigger: TriggerEvent) -> None:
        if types := event_types(function.triggers, trigger.event):
            self.typed.setdefault(trigger.event, {})[function.id] = types
        entries = self.triggers.setdefault(trigger.event, [])
        if trigger.expression is None:
            entries.append((function, trigger, None))
            self.unfiltered.setdefault(trigger.event, []).append(function)
            return
        from inngest_django import expressions

        program = expressions.compile(trigger.expression, kind="filter")
        entries.append((function, trigger, program))
        filters = self.filters.get(trigger.event)
        if filters is None:
            filters = self.filters[trigger.event] = expressions.Filters()
        filters.add(program, function)

    def started_by(self, event: Mapping[str, Any]) -> list[Function]:
        found: dict[str, Function] = {}
        for pattern in patterns(event["name"]):
            for function in self.unfiltered.get(pattern, ()):
                found.setdefault(function.id, function)
            filters = self.filters.get(pattern)
            if filters is not None:
                for function in filters.matching(event, on_error=_log_filter_error):
                    found.setdefault(function.id, function)
        return list(found.values())


def _log_filter_error(function: Function, error: ExpressionError) -> None:
    logger.warning(
        "trigger filter has no value; the function is not started",
        extra={"function_id": function.id, "error": str(error)},
    )


def discover() -> None:
    """Import ``functions.py`` of every installed app and register what it holds.

    Called again, it forgets what modules no longer hold.
    """
    # Late, because this module is also read where no settings are configured.
    from django.apps import apps
    from django.utils.module_loading import autodiscover_modules

    autodiscover_modules("functions")
    found: dict[int, Function] = {}
    for app in apps.get_app_configs():
        module = sys.modules.get(f"{app.name}.functions")
        for value in list(vars(module).values()) if module else ():
            if isinstance(value, Function):
                found[id(value)] = value
    with _lock:
        if [id(f) for f in _discovered] != list(found):
            _discovered[:] = found.values()
            _changed()


def check_data(event: Event, *, with_value: bool) -> None:
    """Check the data of an event that is to be sent.

    Args:
        with_value: Whether the error shows what is wrong; not where it goes to a log.

    Raises:
        EventDataError: It does not fit what a registered function declares; names event,
            field and function.
    """
    for function_id, types in _current().typed.get(event.name, {}).items():
        fault = problem(types, event.data, with_value=with_value)
        if fault is not None:
            raise EventDataError(f'{fault} Function "{function_id}" declares it.')


def fitting(events: list[Event]) -> tuple[list[Event], str | None]:
    """Return the events before the first whose data is wrong, and what is wrong with it."""
    for index, event in enumerate(events):
        try:
            check_data(event, with_value=True)
        except EventDataError as error:
            return events[:index], f"Event {index + 1} of {len(events)} was refused: {error}"
    return events, None


def register(function: Function) -> None:
    """Register a function explicitly; it wins over a discovered one with its id."""
    if not isinstance(function, Function):
        raise ConfigError(
            f"Only functions made by create_function can be registered, got {function!r}."
        )
    with _lock:
        if any(known is function for known in _explicit):
            return
        # A reloaded module brings its functions again, as new objects.
        _explicit[:] = [known for known in _explicit if not _is_same_source(known, function)]
        _explicit.append(function)
        _changed()


def unregister(function: Function) -> None:
    """Forget an explicitly registered function."""
    with _lock:
        _explicit[:] = [known for known in _explicit if known is not function]
        _changed()


@contextlib.contextmanager
def only(functions: Iterable[Function]) -> Iterator[None]:
    """Register exactly these functions inside the block; for tests."""
    with _lock:
        before = (list(_discovered), list(_explicit))
        _discovered[:], _explicit[:] = [], list(functions)
        _changed()
    try:
        yield
    finally:
        with _lock:
            _discovered[:], _explicit[:] = before
            _changed()


def all() -> dict[str, Function]:  # noqa: A001 - read as registry.all()
    """Return the registered functions by id, failure handlers included."""
    return dict(_current().functions)


def get(function_id: str) -> Function | None:
    """Return the function with that qualified id, or None."""
    return _current().functions.get(function_id)


def ids() -> tuple[str, ...]:
    """Return the qualified ids of the registered functions."""
    return _current().ids


def version() -> int:
    """Return a number that changes when the registered set does."""
    return _version


def duplicates() -> list[Duplicate]:
    """Return the ids that different functions were registered with."""
    with _lock:
        explicit = list(_with_failures(_explicit))
        taken = {function.id for function in explicit}
        groups: dict[str, list[Function]] = {}
        for function in (
            *explicit,
            *(found for found in _with_failures(_discovered) if found.id not in taken),
        ):
            groups.setdefault(function.id, []).append(function)
    return [
        Duplicate(function_id, tuple(found))
        for function_id, found in groups.items()
        if len(found) > 1
    ]


def triggers_for(event_name: str) -> list[tuple[Function, TriggerEvent, Program | None]]:
    """Return the triggers that name an event, directly or by a wildcard."""
    triggers = _current().triggers
    return [entry for pattern in patterns(event_name) for entry in triggers.get(pattern, ())]


def functions_started_by(event: Mapping[str, Any]) -> list[Function]:
    """Return the functions that an event starts, each once.

    Args:
        event: As expressions see it: ``name``, ``data``, ``id``, ``ts``, ``user``, ``v``.
    """
    return _current().started_by(event)


def _current() -> _Index:
    global _index  # noqa: PLW0603 - a cache of the registered set
    index = _index
    if index is None:
        with _lock:
            functions: dict[str, Function] = {}
            for function in _with_failures([*_explicit, *_discovered]):
                functions.setdefault(function.id, function)
            index = _index = _Index(functions)
    return index


def _changed() -> None:
    global _version, _index  # noqa: PLW0603 - one registry a process is the point
    _version += 1
    _index = None


def _with_failures(functions: Iterable[Function]) -> Iterator[Function]:
    for function in functions:
        yield function
        if function.failure_function is not None:
            yield function.failure_function


def _is_same_source(one: Function, other: Function) -> bool:
    return (
        one.id == other.id
        and one.handler.__module__ == other.handler.__module__
        and getattr(one.handler, "__qualname__", None)
        == getattr(other.handler, "__qualname__", None)
    )
