"""``manage.py inngest_chaos``: break the project's own stack, and see whether promises hold."""

from __future__ import annotations

import argparse
import random
import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from inngest_django.management import diagnosis
from inngest_django.management.base import InngestCommand, end_negative, refuse
from inngest_django.testing.chaos import endpoints, rows
from inngest_django.testing.chaos.processes import StartError
from inngest_django.testing.chaos.report import Report
from inngest_django.testing.chaos.session import Options, Session

DESCRIPTION = """\
Breaks things on your own stack, and checks that every promise of inngest_django holds.

It starts workers and beats of its own with your settings and Celery app, on queues of its
own, sends a load of functions that the package brings, kills and stops its processes, and
breaks connections to your database and broker in a TCP proxy. It never stops, restarts or
flushes a server. At the end it compares a record kept outside the database with the tables.
"""
EPILOG = """\
Run it on a development or staging stack: it writes to the database and loads both servers.
The same seed makes the same faults in the same order.

Examples:
  manage.py inngest_chaos --minutes 3             three minutes of faults
  manage.py inngest_chaos --minutes 3 --seed 7    the same faults as every other seed 7
  manage.py inngest_chaos --minutes 1 --keep      leave rows and logs to look at

Exit code 0: every promise was kept. 1: one was broken. 2: refused, or called wrongly.
"""


class Command(InngestCommand):
    """Faults on the user's own stack."""

    help = DESCRIPTION

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Keep the line breaks of the help."""
        kwargs |= {"epilog": EPILOG, "formatter_class": argparse.RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        super().add_arguments(parser)
        add = parser.add_argument
        add("--minutes", type=float, default=1.0, metavar="N",
            help="For how long faults are made; what runs then still ends. Default: 1.")  # fmt: skip
        add("--seed", type=int, metavar="S", help="Of the plan. Default: a random one, printed.")
        add("--app", metavar="MODULE",
            help="Your Celery app, as in celery -A. Default: the package of your settings.")  # fmt: skip
        add("--workers", type=int, default=2, metavar="N", help="How many. Default: 2.")
        add("--concurrency", type=int, default=2, metavar="N",
            help="Pool children of each worker. Default: 2.")  # fmt: skip
        add("--beats", type=int, default=2, metavar="N", help="How many. Default: 2.")
        add("--rate", type=float, default=0.5, metavar="N",
            help="Sets of six events a second; less while 60 runs are open. Default: 0.5.")  # fmt: skip
        add("--lease", type=float, default=3.0, metavar="SECONDS",
            help="LEASE_TTL of these workers. Default: 3, so that losses are found soon.")  # fmt: skip
        add("--bound", type=float, default=30.0, metavar="SECONDS",
            help="Within which due work has to move after a fault. Default: 30.")  # fmt: skip
        add("--keep", action="store_true", help="Leave rows, logs and ledger.")
        add("--with-runs", action="store_true", help="Allow a database that holds runs.")
        add("--without-debug", action="store_true", help="Allow settings with DEBUG = False.")
        add("--beside-workers", action="store_true",
            help="Allow other workers or beats on the database; they will disturb each other.")  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """Refuse, or run a session and report."""
        self._as_json = options["as_json"]
        self._refuse_numbers(options)
        try:
            chosen = self._choose(options)
            self._refuse_places(options)
            report = self._run(chosen)
        except endpoints.UsageError as error:
            refuse(str(error))
        except StartError as error:
            refuse(f"The stack did not start through the proxies. {error}")
        if self._as_json:
            self.print_json(report.as_dict())
        else:
            self._print(report, chosen)
        if not report.is_good:
            end_negative()

    def _run(self, chosen: Options) -> Report:
        # SIGTERM ends it like Ctrl-C, so that a CI job that is cancelled leaves nothing.
        before = signal.signal(signal.SIGTERM, _interrupt)
        try:
            return Session(chosen, self._say).run()
        except KeyboardInterrupt:
            raise SystemExit(130) from None
        finally:
            signal.signal(signal.SIGTERM, before)

    # Refusals --------------------------------------------------------------------------

    @staticmethod
    def _refuse_numbers(options: dict[str, Any]) -> None:
        for name, least in (("minutes", 0.05), ("rate", 0.01), ("lease", 1), ("bound", 1)):
            if not least <= options[name] <= 10_000:
                refuse(f"--{name} must be from {least} to 10000, got {options[name]}.")
        for name in ("workers", "concurrency", "beats"):
            if not 1 <= options[name] <= 32:
                refuse(f"--{name} must be from 1 to 32, got {options[name]}.")

    @staticmethod
    def _refuse_places(options: dict[str, Any]) -> None:
        if not settings.DEBUG and not options["without_debug"]:
            refuse(
                "DEBUG is False, so this looks like production. Run it where nobody is served,"
                " or add --without-debug."
            )
        for check in (diagnosis.check_database, diagnosis.check_migrations):
            finding = check()
            if finding.level == diagnosis.ERROR:
                refuse(f"{finding.message} {finding.remedy}")
        if rows.holds_runs() and not options["with_runs"]:
            refuse(
                "The database holds runs. Use another database, or add --with-runs: its rows"
                " stay, but these workers move whatever is due."
            )
        age = rows.last_tick()
        if age is not None and not options["beside_workers"]:
            refuse(
                f"A worker or beat ticked {age:.0f} s ago on this database, and would take what"
                " is not its own. Stop it, or add --beside-workers."
            )

    @staticmethod
    def _choose(options: dict[str, Any]) -> Options:
        if not sys.platform.startswith("linux"):
            refuse("inngest_chaos needs Linux: it finds the children of workers in /proc.")
        name, app = endpoints.find_celery(options["app"])
        seed = options["seed"]
        return Options(
            seconds=options["minutes"] * 60,
            seed=random.randrange(10_000) if seed is None else seed,  # noqa: S311
            settings=str(settings.SETTINGS_MODULE),
            app=name,
            broker=endpoints.find_broker(app),
            database=endpoints.find_database(),
            **{
                key: options[key]
                for key in ("workers", "concurrency", "beats", "rate", "lease", "bound", "keep")
            },
        )

    # Output ----------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        # Beside the report, so that --json stays JSON.
        self.stderr.write(text, self.style.NOTICE)
        self.stderr.flush()

    def _print(self, report: Report, chosen: Options) -> None:
        stopped = ", interrupted" if report.is_interrupted else ""
        self.line()
        self.line(
            f"Seed {report.seed}, {report.took:.0f} s{stopped}: {len(report.struck)} faults,"
            f" {report.events} events, {report.runs} runs, {report.calls} bodies called,"
            f" {report.restarts} processes started again."
        )
        for name, counts in report.counts.items():
            self.line(
                f"At the {name}'s proxy: {counts['connections']} connections, {counts['cut']} cut,"
                f" {counts['replies_dropped']} replies dropped."
            )
        if report.left_out:
            self.line(f"Left out: {report.left_out}.")
        self.line()
        self.table(["fault", "what", "count", "worst recovery"], report.fault_rows())
        self.line()
        self.table(["promise", "checked", "verdict"], report.verdict_rows())
        for verdict in report.verdicts:
            if not verdict.is_kept:
                self.line()
                self.line(f"{verdict.promise.capitalize()}: broken.")
                for text in verdict.shown():
                    self.line(f"  {text}")
        self.line()
        if report.is_good:
            self.line(f"Every promise was kept. Worst recovery {report.worst():.1f} s.")
        else:
            self.line(f"A promise was broken. Again: --seed {report.seed} --keep, then look.")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
