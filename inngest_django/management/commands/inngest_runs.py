"""``manage.py inngest_runs``: list runs."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Q, QuerySet

from inngest_django import clock
from inngest_django.management import drawing, shapes
from inngest_django.management.base import ULID, InngestCommand, refuse
from inngest_django.models import Run
from inngest_django.states import RunStatus


class Command(InngestCommand):
    """Lists runs, newest first."""

    help = "List runs, newest first."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the filters."""
        super().add_arguments(parser)
        parser.add_argument("--function", metavar="ID", help="Only of this function.")
        parser.add_argument(
            "--status", action="append", choices=[status.value for status in RunStatus],
            help="Only of this status; may be repeated.",
        )  # fmt: skip
        parser.add_argument(
            "--event", metavar="ID_OR_NAME",
            help="Only started by this event: its id, the sender's id, or its name.",
        )  # fmt: skip
        parser.add_argument("--limit", type=int, default=20, help="At most so many. Default: 20.")
        parser.add_argument(
            "--watch", nargs="?", type=float, const=2.0, metavar="SECONDS",
            help="Print the list again every two, or so many, seconds until interrupted.",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the runs once, or again and again."""
        if options["limit"] < 1:
            refuse(f"--limit must be at least 1, got {options['limit']}.")
        if options["watch"] is None:
            self._print(options)
            return
        if options["watch"] <= 0:
            refuse(f"--watch must be over 0 seconds, got {options['watch']}.")
        try:
            while True:
                self._print(options)
                time.sleep(options["watch"])  # noqa: TID251 - a person looks on
                self.line()
        except KeyboardInterrupt:
            return

    def _print(self, options: dict[str, Any]) -> None:
        rows = find(options).select_related("event").defer("event__data", "event__user")
        runs = list(rows.order_by("-pk")[: options["limit"]])
        if options["as_json"]:
            self.print_json([shapes.run(run) for run in runs])
            return
        if not runs:
            self.line("No runs.")
            return
        now = clock.now()
        self.table(
            ["id", "function", "status", "event", "queued", "took", "result"],
            [
                (
                    run.pk,
                    run.function_id,
                    run.status,
                    run.event.name,
                    run.queued_at,
                    drawing.span((run.ended_at or now) - run.started_at) if run.started_at else "",
                    _result(run),
                )
                for run in runs
            ],
        )


def find(options: dict[str, Any]) -> QuerySet[Run]:
    """Return the runs that the options choose."""
    rows = Run.objects.all()
    if options["function"]:
        rows = rows.filter(function_id=options["function"])
    if options["status"]:
        rows = rows.filter(status__in=options["status"])
    if options["event"]:
        event = options["event"]
        chosen = Q(event__name=event) | Q(event__external_id=event)
        if ULID.fullmatch(event.upper()):
            chosen = Q(event_id=event.upper())
        rows = rows.filter(chosen)
    return rows


def _result(run: Run) -> str:
    if run.error is not None:
        return drawing.error(run.error)[:60]
    return "" if run.output is None else drawing.value(run.output)[:60]
