"""``manage.py shop_demo``: every example, from its event to its end, in one process."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
import time
import urllib.request
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

USER = PASSWORD = "demo"
PATIENCE = 150.0  # seconds for all runs together


class Command(BaseCommand):
    """Runs the examples on a fresh SQLite database and the in-process transport."""

    help = (
        "Runs web server, worker and beat in this process, without a broker, sends the events of"
        " every example, and prints what happens until each run has ended."
    )
    requires_system_checks: list[str] = []  # checked after the exec

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--serve", action="store_true", help="keep serving afterwards")
        parser.add_argument("--port", type=int, default=0, help="of the web server; any free one")

    def handle(self, *args: Any, **options: Any) -> None:
        if os.environ.get("SHOP_DEMO") != "1":
            _begin_afresh()
        self.check()
        _stop_when_told()
        log = _log_to_file()
        self.say("Making a fresh database.")
        call_command("migrate", verbosity=0)
        get_user_model().objects.create_superuser(USER, "demo@example.com", PASSWORD)

        # Imported here: the tables of the models must exist before threads look at them.
        from inngest_django.dispatch.local import start_local
        from inngest_django.management.stream import Stream
        from inngest_django.management.web import Web, listen

        listening = listen("127.0.0.1", options["port"])
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        web = Web(listening)
        web.start()
        self.stream = Stream(self.say)
        self.say(f"Serving at {address}, with worker and beat in this process; log in {log}.")
        local = start_local()
        try:
            is_good = self.drive()
            self.report_admin(address)
            if options["serve"]:
                self.keep_serving()
        except KeyboardInterrupt:
            self.say("Stopping.")
            is_good = True
        finally:
            local.stop()
            web.stop()
        if not is_good:
            raise CommandError("Not every run ended as expected.")

    def say(self, text: str = "") -> None:
        """Print one line at once, also into a pipe."""
        self.stdout.write(text)
        self.stdout.flush()

    def drive(self) -> bool:
        """Send the events, print the timeline, and return whether all ended as expected."""
        from inngest_django.models import Run, Step
        from project.shop.demo import scenario, summary
        from project.shop.functions import client

        scenario.lay_out()
        examples = scenario.examples()
        expected = [run for example in examples for run in example.runs]
        self.say(f"Sending {len(examples)} events:")
        self.say()
        for example in examples:
            self.say(f"  {example.event.name:<26} {example.title}")
        self.say()

        waiting = list(examples)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for example in list(waiting):
                steps = Step.objects.filter(name=example.after, status="waiting")
                # Both subscriptions stand before the one event comes that only one wants.
                if not example.after or steps.count() == 2:
                    client.send_sync(example.event)
                    waiting.remove(example)
            self.stream.show()
            ended = Run.objects.filter(ended_at__isnull=False).count()
            if not waiting and ended >= len(expected) and ended == Run.objects.count():
                break
            time.sleep(0.1)
        self.stream.show()

        missing, surprises = summary.mismatches(expected)
        self.say()
        self.say("Summary, counted in the database:")
        self.say()
        for label, number in summary.counts():
            self.say(f"  {label:<18} {number:>4}")
        self.say()
        self.say(f"Pictures and messages are in {settings.VAR_DIR}.")
        for item in missing:
            self.say(f"NOT REACHED: {item.function} {item.status}")
        for text in surprises:
            self.say(f"NOT EXPECTED: {text}")
        if not missing and not surprises:
            self.say(f"All {len(expected)} runs ended as expected.")
        return not missing and not surprises

    def report_admin(self, address: str) -> None:
        """Print where the runs can be looked at, after having looked."""
        runs = f"{address}admin/inngest_django/run/"
        with urllib.request.urlopen(runs, timeout=10) as page:
            self.say(f"Admin ({page.status}): {runs} (user {USER}, password {PASSWORD})")

    def keep_serving(self) -> None:
        """Go on printing what happens until somebody stops it."""
        self.say("Still serving; stop with Ctrl-C.")
        while True:
            self.stream.show()
            time.sleep(0.2)


def _stop_when_told() -> None:
    """End well on SIGTERM too, and on SIGINT where a shell has it ignored for background jobs."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _log_to_file() -> Path:
    """Keep tracebacks of failures that the timeline shows out of it, but not lost."""
    path = Path(settings.VAR_DIR) / "demo.log"
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.getLogger().addHandler(handler)
    return path


def _begin_afresh() -> None:
    """Start this command again with settings of its own: an empty folder, SQLite, no broker."""
    folder = settings.VAR_DIR / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    ours = ("DB_", "BROKER_URL")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    environment |= {"VAR_DIR": str(folder), "SHOP_DEMO": "1"}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.argv], environment)
