"""``manage.py inngest_prune``: delete old runs and events."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.core.management.base import CommandParser

from inngest_django import clock, conf
from inngest_django.durations import parse_duration
from inngest_django.engine import retention
from inngest_django.errors import DurationError
from inngest_django.management.base import InngestCommand, refuse


class Command(InngestCommand):
    """Deletes old runs and events."""

    help = (
        "Delete runs that ended, and events, older than INNGEST['RETENTION']. Live runs and"
        " their events stay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the age."""
        super().add_arguments(parser)
        parser.add_argument(
            "--older-than", metavar="DURATION", help="Instead of the setting, such as 30d or 12h."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Prune and report the numbers."""
        before = None
        if options["older_than"] is not None:
            try:
                age = parse_duration(options["older_than"], what="--older-than")
            except DurationError as error:
                refuse(str(error))
            before = clock.now() - age
        elif conf.get().RETENTION is None:
            refuse('INNGEST["RETENTION"] is None: nothing is pruned. Give --older-than.')
        numbers = dataclasses.asdict(retention.prune(before=before))
        # Without a bound in time it always is.
        del numbers["is_done"]
        if options["as_json"]:
            self.print_json(numbers)
        else:
            shown = ", ".join(f"{name} {value}" for name, value in numbers.items())
            self.line(f"Deleted: {shown}.")
