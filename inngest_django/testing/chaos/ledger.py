"""A record outside the app's database of what was sent and what bodies really did.

One line of JSON each, appended with a single write: a process that is killed or stopped
anywhere holds no lock on it, as it could hold one on a database.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from inngest_django.serialization import dumps, loads


@dataclasses.dataclass(frozen=True, slots=True)
class Note:
    """One line; ``key`` is a run's id or a sender's key, ``at`` the host's time in seconds."""

    key: str
    what: str
    pid: int
    at: float


class Ledger:
    """Notes in a file."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)

    def note(self, key: str, what: str) -> None:
        """Append a line; it is there when this returns, whatever happens to the process."""
        line = dumps([key, what, os.getpid(), time.time()]) + "\n"
        target = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(target, line.encode())
        finally:
            os.close(target)

    def size(self) -> int:
        """Return how long it is, to read on from there."""
        return self._path.stat().st_size if self._path.exists() else 0

    def notes(self, start: int = 0) -> Iterator[Note]:
        """Yield the lines from such a place on, oldest first."""
        if self._path.exists():
            with self._path.open() as file:
                file.seek(start)
                text = file.read()
            for line in text.splitlines():
                yield Note(*cast("list[Any]", loads(line)))
