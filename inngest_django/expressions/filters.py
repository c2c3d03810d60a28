"""Trigger filters of one event name, looked up instead of tried one by one."""

from __future__ import annotations

import collections
import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from inngest_django.expressions import index
from inngest_django.expressions.alternatives import Planning
from inngest_django.expressions.errors import ExpressionError
from inngest_django.expressions.evaluation import Evaluation
from inngest_django.expressions.programs import Program
from inngest_django.expressions.values import kind_of

LOOKUP_FROM = 50

_ANY_NAME = ""

Item = TypeVar("Item")


class Filters(Generic[Item]):
    """Items that each want the events a filter lets through.

    Concurrency: fill it in one thread; afterwards any number may call ``matching``.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[Program | None, Item]] = []
        self._entries_by_key: dict[int, list[int]] = collections.defaultdict(list)
        self._shapes: set[str] = set()

    def __len__(self) -> int:
        """Count the items, also those that can never match."""
        return len(self._entries)

    def add(self, program: Program | None, item: Item) -> None:
        """Add an item.

        Args:
            program: Its filter, or None to let every event through.
            item: Anything; returned by ``matching``.

        Raises:
            ValueError: The program was not compiled as a filter.
        """
        number = len(self._entries)
        for key in self._keys(program):
            self._entries_by_key[key].append(number)
        self._entries.append((program, item))

    def matching(
        self,
        event: Mapping[str, object],
        now: dt.datetime | None = None,
        on_error: Callable[[Item, ExpressionError], None] | None = None,
    ) -> list[Item]:
        """Return the items whose filter is exactly true, in the order added.

        A filter that fails, or whose value is neither true, false nor null, does not
        match and is reported to ``on_error``; the others are not affected.
        """
        moment = now or Evaluation(None).now
        found: list[Item] = []
        for number in self._candidates(event):
            program, item = self._entries[number]
            try:
                if program is None or _decided(program, event, moment):
                    found.append(item)
            except ExpressionError as error:
                if on_error is not None:
                    on_error(item, error)
        return found

    def _keys(self, program: Program | None) -> Iterable[int]:
        if program is None:
            return index.plan_residual(_ANY_NAME).keys
        if program.kind != "filter" or program.planner is None:
            raise ValueError(f'A trigger needs a program of kind "filter", got "{program.kind}".')
        alternatives = program.planner(Planning(event=None))
        if not alternatives:
            return ()
        keys, shapes = index.keys_for(alternatives, event_name=_ANY_NAME)
        self._shapes.update(shapes)
        return keys

    def _candidates(self, event: Mapping[str, object]) -> Iterable[int]:
        if len(self._entries) < LOOKUP_FROM:
            return range(len(self._entries))
        keys = index.keys_of(event, event_name=_ANY_NAME, shapes=self._shapes).keys
        numbers: set[int] = set()
        for key in keys:
            numbers.update(self._entries_by_key.get(key, ()))
        return sorted(numbers)


def _decided(program: Program, event: Mapping[str, object], now: dt.datetime) -> bool:
    value = program.evaluate(event=event, now=now)
    if value is None or isinstance(value, bool):
        return value is True
    raise ExpressionError(
        f"a filter must be true or false, got {kind_of(value)}. Compare the value.",
        kind="eval",
        source=program.source,
    )
