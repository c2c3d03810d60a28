"""``manage.py inngest_rerun``: start a run again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from inngest_django.engine import runs
from inngest_django.errors import InngestError
from inngest_django.management.base import InngestCommand, as_ulid, missing


class Command(InngestCommand):
    """Starts a run again."""

    help = "Start a new run with the events of an old one; the old one stays as it is."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the run."""
        super().add_arguments(parser)
        parser.add_argument("run", help="The run's id.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Start the new run and print its id."""
        run_id = as_ulid(options["run"], what="run")
        try:
            new_id = runs.rerun(run_id)
        except InngestError as error:
            missing(str(error))
        if options["as_json"]:
            self.print_json({"run_id": new_id, "original_run_id": run_id})
        else:
            self.line(f"Run {new_id} repeats {run_id}.")
