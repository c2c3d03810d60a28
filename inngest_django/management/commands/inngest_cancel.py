"""``manage.py inngest_cancel``: cancel runs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from inngest_django.engine import cancellation
from inngest_django.management.base import InngestCommand, as_ulid, end_negative


class Command(InngestCommand):
    """Cancels runs."""

    help = "Cancel runs. Exit code 1 when one of them had ended already or does not exist."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the runs."""
        super().add_arguments(parser)
        parser.add_argument("runs", nargs="+", metavar="run", help="Ids of runs.")
        parser.add_argument("--reason", default="", help="Kept with the runs.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Cancel the runs and tell which were."""
        # All ids are read first, so that a misspelt one cancels nothing.
        run_ids = [as_ulid(text, what="run") for text in options["runs"]]
        done: dict[str, bool] = {
            run_id: cancellation.cancel(run_id, reason=options["reason"]) for run_id in run_ids
        }
        if options["as_json"]:
            self.print_json(
                {
                    "cancelled": [run_id for run_id, won in done.items() if won],
                    "not_cancelled": [run_id for run_id, won in done.items() if not won],
                }
            )
        else:
            for run_id, won in done.items():
                outcome = "cancelled" if won else "not cancelled: it had ended or does not exist"
                self.line(f"{run_id}  {outcome}")
        if not all(done.values()):
            end_negative()
