"""What every command shares: ``--json``, exit codes, tables.

Exit codes: 0 good, 1 a negative finding (nothing there, not done), 2 bad usage or no usable
database.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError, connections

from inngest_django.models.base import alias

FOUND_NOTHING = 1
BAD_USAGE = 2
ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


class InngestCommand(BaseCommand):
    """A command for people and, with ``--json``, for programs."""

    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """Add ``--json``."""
        parser.add_argument(
            "--json", action="store_true", dest="as_json", help="Print JSON for programs."
        )

    def execute(self, *args: Any, **options: Any) -> Any:
        """Run the command; a database that cannot be used ends it with the remedy."""
        try:
            return super().execute(*args, **options)
        except (DatabaseError, InterfaceError) as error:
            _refuse_unusable_database(error)
            raise

    def print_json(self, value: Any) -> None:
        """Print a value as indented JSON; times as ISO texts."""
        # ASCII: a stored text may hold what the terminal's encoding has not.
        self.stdout.write(json.dumps(value, indent=2, default=_encode))  # noqa: TID251

    def line(self, text: str = "") -> None:
        """Print a line with what the output can encode."""
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        self.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def table(self, titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print rows under titles, each column as wide as its widest value."""
        cells = [[_cell(value) for value in row] for row in rows]
        widths = [
            max(len(title), *(len(row[i]) for row in cells)) if cells else len(title)
            for i, title in enumerate(titles)
        ]
        for row in [[title.upper() for title in titles], *cells]:
            padded = (value.ljust(width) for value, width in zip(row, widths, strict=True))
            self.line("  ".join(padded).rstrip())


def _refuse_unusable_database(error: Exception) -> None:
    """End with exit code 2 if the database is away or its tables are not up to date."""
    # Here, because every command imports this module, and most need nothing else of it.
    from inngest_django.management import diagnosis

    if connections[alias()].in_atomic_block:
        return  # Somebody's transaction is broken now, and would answer nothing.
    for check in (diagnosis.check_database, diagnosis.check_migrations):
        found = check()
        if found.level == diagnosis.ERROR:
            raise CommandError(f"{found.message} {found.remedy}", returncode=BAD_USAGE) from error


def refuse(message: str) -> NoReturn:
    """End with exit code 2: the command was called wrongly."""
    raise CommandError(message, returncode=BAD_USAGE)


def missing(message: str) -> NoReturn:
    """End with exit code 1: what was asked for is not there."""
    raise CommandError(message, returncode=FOUND_NOTHING)


def end_negative() -> NoReturn:
    """End with exit code 1 after the finding was printed."""
    raise SystemExit(FOUND_NOTHING)


def as_ulid(text: str, *, what: str) -> str:
    """Return an id in its stored form; ends with exit code 2 when it is none."""
    upper = text.strip().upper()
    if not ULID.fullmatch(upper):
        refuse(f"{text!r} is not a {what} id: those are ULIDs of 26 characters.")
    return upper


def shown_time(moment: dt.datetime | None) -> str:
    """Return a time in UTC to the second, or a dash."""
    return "-" if moment is None else moment.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, dt.datetime):
        return shown_time(value)
    return " ".join(str(value).split())


def _encode(value: object) -> object:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    return str(value)
