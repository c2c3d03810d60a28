"""``manage.py inngest_export``: write a run into a file that a test can replay."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from inngest_django.drivers.recordings import Recording
from inngest_django.management import exports
from inngest_django.management.base import InngestCommand, as_ulid, missing, refuse
from inngest_django.models import Run

_EPILOG = """\
what is scrubbed:
  Fields whose name tells (password, token, secret, email, phone, iban, address, ...)
  are replaced whole. In all other texts e-mail addresses, phone and card numbers,
  and what looks like a token are replaced where they stand. Types, lengths and
  punctuation stay, and equal values become equal ones, so that a replay takes the
  same path. Names of people, prices and free text are NOT found: read the file
  before you commit it.

examples:
  manage.py inngest_export 01K... --output tests/runs/declined.json
  manage.py inngest_export 01K... --keep event.data.email    the code looks at its domain
  manage.py inngest_export 01K... --output - | less

In a test:
  inngest_django.testing.assert_same_path("tests/runs/declined.json")
"""


class Command(InngestCommand):
    """Exports one run."""

    help = (
        "Write a run (its events, its steps and their results) into a JSON file, without"
        " secrets, so that a test can replay it against the code."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return the parser, with the explanations as they are written."""
        parser = super().create_parser(prog_name, subcommand, epilog=_EPILOG, **kwargs)
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the run, the file, and what to scrub."""
        super().add_arguments(parser)
        parser.add_argument("run", help="The run's id.")
        parser.add_argument(
            "--output", metavar="FILE",
            help="The file, which must not exist; - for standard output. Default: run-ID.json.",
        )  # fmt: skip
        parser.add_argument(
            "--keep", action="append", default=[], metavar="FIELD",
            help="Leave a field as it is: its name, or a path such as event.data.email or"
            " steps.charge.output. May be repeated.",
        )  # fmt: skip
        parser.add_argument(
            "--no-scrub", action="store_false", dest="is_scrubbing",
            help="Write all values as they are.",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file, and say what was scrubbed."""
        if options["keep"] and not options["is_scrubbing"]:
            refuse("--keep has no meaning with --no-scrub, which keeps everything.")
        run_id = as_ulid(options["run"], what="run")
        run = Run.objects.select_related("event").filter(pk=run_id).first()
        if run is None:
            missing(f"No run has the id {run_id}.")
        recording = exports.read(run)
        if options["is_scrubbing"]:
            recording, kept = exports.scrub(recording, keep=options["keep"])
            if unknown := sorted(set(options["keep"]) - kept):
                refuse(
                    f"The run has no field {unknown[0]!r} to keep. Write the name of a field, or"
                    " a path as the command prints it, such as event.data.email."
                )
        # Indented and in ASCII, for people and for diffs.
        text = json.dumps(recording.as_dict(), indent=2) + "\n"  # noqa: TID251
        target = options["output"] or f"run-{run_id}.json"
        if target == "-":
            self.stdout.write(text, ending="")
            return
        _write(Path(target), text)
        if options["as_json"]:
            self.print_json(
                {
                    "run_id": run_id,
                    "path": target,
                    "is_scrubbed": recording.is_scrubbed,
                    "scrubbed": recording.scrubbed,
                }
            )
            return
        self._print(recording, target)

    def _print(self, recording: Recording, target: str) -> None:
        count = len(recording.steps)
        self.line(
            f"Wrote {target}: {recording.function_id}, {recording.status},"
            f" {count} step{'' if count == 1 else 's'}."
        )
        if not recording.is_scrubbed:
            self.line("Nothing was scrubbed: the file holds the values as they were.")
            return
        if recording.scrubbed:
            self.line()
            self.table(["scrubbed", "why"], sorted(recording.scrubbed.items()))
            self.line()
        else:
            self.line("Nothing looked like a secret.")
        self.line("Names of people, prices and free text are not found: read the file.")


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        refuse(f"{path} exists already. Remove it, or name another file with --output.")
    except OSError as error:
        refuse(f"{path} cannot be written: {error.strerror or error}.")
