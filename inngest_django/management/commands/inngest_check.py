"""``manage.py inngest_check``: whether today's code can go on with the live runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError

from inngest_django.functions import registry
from inngest_django.management import forecasts, live_runs
from inngest_django.management.base import InngestCommand, end_negative, refuse
from inngest_django.management.forecasts import STRANDING, Effect, Forecast

_EPILOG = """\
what it looks at:
  Live runs are read from the database and grouped by function and by the steps
  that they have. Some runs of each group are rehearsed: the function of the code
  in this checkout is called with the run's stored results, and stops at the first
  step that has none. No step's body runs and nothing is stored. The code between
  steps does run, as on every entry; what it writes to databases is rolled back,
  anything else it does (an HTTP request, a file) is not. With --static nothing is
  called: the ids of steps are read in the source, which says less.

what becomes of runs:
  unaffected        they go on where they stand
  vanished        ! the code has no such function; they would wait for ever
  parked          ! they stand at a step that the code no longer has
  reruns          ! a step that is done would run again, because its id changed
  fails           ! the code raises before it comes to where they stand
  other_kind      ! a step's id is now that of another kind of step
  invokes_vanished! their next step invokes a function that the code does not have
  elsewhere         the function is of another app, whose workers are alive
  unknown           could not be told

  Runs with a mark (!) would be stranded: exit code 1. Otherwise 0; 2 is bad usage.

examples:
  manage.py inngest_check                      in CI, before the new code is rolled out
  manage.py inngest_check --allow parked       the step was removed on purpose
  manage.py inngest_check --function shop-pay --sample 1000
"""


class Command(InngestCommand):
    """Compares the code with the live runs."""

    help = (
        "Say which live runs the code of this checkout would strand, before it is deployed."
        " Run it with the new code and the database of the old."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return the parser, with the explanations as they are written."""
        parser = super().create_parser(prog_name, subcommand, epilog=_EPILOG, **kwargs)
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        """Add what to look at, and how closely."""
        super().add_arguments(parser)
        parser.add_argument("--function", metavar="ID", help="Only runs of this function.")
        parser.add_argument(
            "--static", action="store_true", dest="is_static",
            help="Read the functions' source only; call nothing.",
        )  # fmt: skip
        parser.add_argument(
            "--allow", action="append", default=[], metavar="EFFECT",
            choices=sorted(STRANDING), type=str,
            help="An effect that is meant and does not count; may be repeated.",
        )  # fmt: skip
        parser.add_argument(
            "--sample", type=int, default=10, metavar="N",
            help="Rehearse so many runs of each group with the same steps. Default: 10.",
        )  # fmt: skip
        parser.add_argument(
            "--limit", type=int, default=100_000, metavar="N",
            help="Read the newest so many live runs. Default: 100000.",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what becomes of the live runs."""
        for option in ("sample", "limit"):
            if options[option] < 1:
                refuse(f"--{option} must be at least 1, got {options[option]}.")
        try:
            reading = live_runs.read(
                function_id=options["function"],
                limit=options["limit"],
                sample=options["sample"],
                progress=self._progress("{} live runs read"),
            )
        except DatabaseError as error:
            refuse(
                f"The live runs cannot be read: {error}. Run this with the settings of the"
                " database that the old code uses; a migration of the new code may be missing."
            )
        if not reading.run_count and options["function"] not in (None, *registry.all()):
            refuse(f"No function and no live run has the id {options['function']!r}.")
        made = forecasts.make(
            reading.groups,
            is_static=options["is_static"],
            progress=self._progress(f"{{}} of {len(reading.groups):,} groups done"),
        )
        self._clear_progress()
        allowed = frozenset(Effect(name) for name in options["allow"])
        stranded = forecasts.stranded(made, allowed)
        if options["as_json"]:
            self.print_json(
                {
                    "ok": not stranded,
                    "run_count": reading.run_count,
                    "is_complete": reading.is_complete,
                    "stranded": {str(effect): count for effect, count in stranded.items()},
                    "functions": [_shape(forecast) for forecast in made],
                }
            )
        else:
            self._print(made, stranded, reading)
        if stranded:
            end_negative()

    def _print(self, made: list[Forecast], stranded: Any, reading: live_runs.Reading) -> None:
        for forecast in made:
            self.line(f"{forecast.function_id}: {_runs(forecast.run_count)}")
            for verdict, count in sorted(forecast.runs.items(), key=lambda item: item[0].effect):
                mark = "!" if verdict.effect in STRANDING else " "
                step = f'  step "{verdict.step}"' if verdict.step else ""
                self.line(f"  {mark} {verdict.effect:<17}{count:>7,}{step}")
                if verdict.message:
                    self.line(f"      {verdict.message}")
                    self.line(f"      For example {', '.join(forecast.examples[verdict])}.")
            if forecast.unseen:
                self.line(f"    {_runs(forecast.unseen)} like these not rehearsed; raise --sample.")
        if not reading.is_complete:
            self.line(
                f"Only the newest {_runs(reading.run_count)} were read; raise --limit for all."
            )
        if not stranded:
            self.line(f"{_runs(reading.run_count)}, none would be stranded.")
            return
        told = ", ".join(f"{count:,} {effect}" for effect, count in sorted(stranded.items()))
        self.line(f"{_runs(reading.run_count)}, of which would be stranded: {told}.")

    def _progress(self, text: str) -> Callable[[int], None]:
        """Return what shows a number, in one line that a terminal overwrites."""

        def show(number: int) -> None:
            if self.stderr.isatty():
                self.stderr.write(f"\r{text.format(f'{number:,}')}\x1b[K", ending="")

        return show

    def _clear_progress(self) -> None:
        if self.stderr.isatty():
            self.stderr.write("\r\x1b[K", ending="")


def _runs(count: int) -> str:
    return f"{count:,} live run{'' if count == 1 else 's'}"


def _shape(forecast: Forecast) -> dict[str, Any]:
    return {
        "function_id": forecast.function_id,
        "run_count": forecast.run_count,
        "unseen": forecast.unseen,
        "effects": [
            {
                "effect": str(verdict.effect),
                "is_stranding": verdict.effect in STRANDING,
                "run_count": count,
                "step": verdict.step or None,
                "message": verdict.message or None,
                "examples": forecast.examples[verdict],
            }
            for verdict, count in sorted(
                forecast.runs.items(), key=lambda item: (item[0].effect, item[0].step)
            )
        ],
    }
