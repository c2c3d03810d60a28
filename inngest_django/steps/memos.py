"""The stored results that a call replays, as middleware sees them."""

from __future__ import annotations

import dataclasses
import marshal
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from inngest_django.errors import ErrorValue
from inngest_django.serialization import dumps, loads


class Stored(Protocol):
    """A settled step as the engine hands it over; shared by calls, never changed."""

    @property
    def value(self) -> Any:
        """The decoded result."""

    @property
    def error(self) -> ErrorValue | None:
        """Set when the step failed for good."""

    @property
    def revision(self) -> int:
        """Position in the order in which the run's steps were settled."""


@dataclasses.dataclass(slots=True)
class MemoError:
    """Why a step failed for good."""

    name: str
    message: str
    stack: str | None = None
    code: str = "unknown"


@dataclasses.dataclass(slots=True)
class Memo:
    """One stored result; middleware may replace ``data``."""

    data: Any = None
    error: MemoError | None = None
    revision: int = 0


class StepMemos:
    """The stored results of the run at the start of the call.

    Attributes:
        left: How many of them the replay has not met.
        plain: Those that may be given out as they are, but for a copy: none once a middleware
            looked at them.
        were_looked_at: Whether a middleware asked for them, and so may change those to come.
    """

    def __init__(self, stored: Mapping[str, Stored]) -> None:
        self._stored = stored
        self._memos: dict[str, Memo] = {}
        self.plain = stored
        self.left = len(stored)
        self.were_looked_at = False

    @property
    def size(self) -> int:
        """How many results were stored when the call began.

        For middleware: who asks may change results by it, and counts as having looked.
        """
        self.were_looked_at = True
        return len(self._stored)

    @property
    def is_consumed(self) -> bool:
        """Whether the replay has met every stored result."""
        return self.left == 0

    def values(self) -> Iterator[Memo]:
        """Iterate over the results; changes to a ``Memo`` reach the function."""
        self.were_looked_at = True
        self.plain = {}
        for hashed_id in self._stored:
            yield self._memo(hashed_id)

    def take(self, hashed_id: str) -> Memo | None:
        """Return the result of a step that the replay met, or None when it has none yet."""
        if hashed_id not in self._stored:
            return None
        self.left -= 1
        return self._memo(hashed_id)

    def _memo(self, hashed_id: str) -> Memo:
        memo = self._memos.get(hashed_id)
        if memo is None:
            stored = self._stored[hashed_id]
            error = stored.error
            memo = self._memos[hashed_id] = Memo(
                data=fresh(stored.value),
                error=None
                if error is None
                else MemoError(error["name"], error["message"], error["stack"], error["code"]),
                revision=stored.revision,
            )
        return memo


def fresh(value: Any) -> Any:
    """Return a copy of a JSON value that its receiver may change.

    Stored results are shared by the calls of a process; a function that sorts the list it
    got must not sort it for the next call.
    """
    if not isinstance(value, (dict, list)):
        return value
    try:
        # A tenth of what JSON takes. Version 2, the last one that looks for no shared parts.
        return marshal.loads(marshal.dumps(value, 2))  # noqa: S302 - of its own making
    except ValueError:  # Holds an object of a subclass of str, int, ...
        return loads(dumps(value))
