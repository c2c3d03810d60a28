"""The tutorial, done as a newcomer does it: its commands, its files, real processes."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import page
from tests.processes import wait_until
from tests.repo.readme import ROOT

pytestmark = [pytest.mark.sqlite, pytest.mark.slow, pytest.mark.timeout(300)]
TUTORIAL = page("tutorial/first-function.md")
BIN = Path(sys.executable).parent


class Newcomer:
    """Follows the tutorial in a folder; the package comes from this clone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "mysite"
        self._say(self._command("django-admin startproject"), cwd=folder)
        self._say(self._command("python manage.py startapp"), cwd=self.folder)
        settings, *self.versions = (block.code for block in TUTORIAL.blocks("python"))
        with (self.folder / "mysite" / "settings.py").open("a") as file:
            file.write(settings)
        self._dev: subprocess.Popen[bytes] | None = None
        self.log = self.folder / "dev.log"

    def _command(self, start: str) -> str:
        return next(line for line in self._commands() if line.startswith(start))

    @staticmethod
    def _commands() -> list[str]:
        lines = "".join(block.code for block in TUTORIAL.blocks("console")).splitlines()
        return [line.removeprefix("$ ") for line in lines]

    def _say(self, command: str, *, cwd: Path | None = None) -> str:
        words = shlex.split(command)
        words[0] = str(BIN / words[0])
        result = subprocess.run(
            words,
            cwd=cwd or self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    @staticmethod
    def _environment() -> dict[str, str]:
        kept = {key: os.environ[key] for key in ("HOME", "PATH", "TMPDIR") if key in os.environ}
        return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

    def write(self, version: int) -> None:
        """Put the tutorial's next functions.py in place."""
        (self.folder / "shop" / "functions.py").write_text(self.versions[version])

    def migrate(self) -> None:
        self._say(self._command("python manage.py migrate"))

    def start(self) -> None:
        """Start ``inngest_dev`` as the tutorial does, on a free port."""
        command = shlex.split(self._command("python manage.py inngest_dev"))
        with self.log.open("ab") as output:
            begun = self.log.stat().st_size
            self._dev = subprocess.Popen(
                [str(BIN / command[0]), *command[1:], "--port", "0"],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(lambda: b"Ready." in self.log.read_bytes()[begun:], 60, what="inngest_dev")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        if self._dev is not None:
            os.killpg(self._dev.pid, signal.SIGINT)
            self._dev.wait(30)
            self._dev = None

    def restarted(self) -> None:
        """Wait until a saved file has made ``inngest_dev`` start again."""
        begun = self.log.read_text().count("Ready.")
        wait_until(lambda: self.log.read_text().count("Ready.") > begun, 60, what="restart")

    def send(self, number: int) -> str:
        """Run the tutorial's n-th ``inngest_send``; return the event's id."""
        sends = [line for line in self._commands() if "inngest_send" in line]
        return str(json.loads(self._say(sends[number] + " --json"))["ids"][0])

    def run(self, event_id: str) -> dict[str, Any]:
        """Return the run that an event started, with its steps."""

        def started() -> Any:
            return json.loads(self._say(f"python manage.py inngest_runs --event {event_id} --json"))

        [run] = wait_until(started, 60, what="run", explain=self.log.read_text)
        return dict(json.loads(self._say(f"python manage.py inngest_show {run['id']} --json")))

    def until(self, event_id: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the run once something is so."""
        return wait_until(
            lambda: run if is_so(run := self.run(event_id)) else None,
            60,
            what="that state",
            explain=lambda: f"{self.run(event_id)}\n{self.log.read_text()}",
        )


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    newcomer = Newcomer(tmp_path)
    try:
        yield newcomer
    finally:
        newcomer.interrupt()


def _has_ended(run: dict[str, Any]) -> bool:
    return run["ended_at"] is not None


def _steps(run: dict[str, Any]) -> dict[str, Any]:
    return {step["name"]: step for step in run["steps"]}


def test_tutorial_works_from_its_first_command_to_its_last(newcomer: Newcomer) -> None:
    newcomer.write(0)
    newcomer.migrate()
    newcomer.start()
    first = newcomer.until(newcomer.send(0), _has_ended)
    assert first["output"] == "Welcome, Ada!"
    assert "inngest_django/run/" in newcomer.log.read_text()

    newcomer.write(1)
    newcomer.restarted()
    second = newcomer.until(newcomer.send(1), _has_ended)
    assert second["output"] == "Welcome, Ada! Use COUPON-10."
    assert _steps(second)["reserve-coupon"]["attempt_count"] == 2
    assert _steps(second)["greet"]["attempt_count"] == 1

    newcomer.write(2)
    newcomer.restarted()
    sleeper = newcomer.send(1)
    newcomer.until(sleeper, lambda run: "let-them-look-around" in _steps(run))
    newcomer.interrupt()
    # Stopped in the middle; what is left of the sleep passes meanwhile, or afterwards.
    assert not _has_ended(newcomer.run(sleeper))
    newcomer.start()
    third = newcomer.until(sleeper, _has_ended)
    assert third["output"] == "Welcome, Ada! Use COUPON-10."
    assert _steps(third)["greet"]["attempt_count"] == 1

    newcomer.write(3)
    newcomer.restarted()
    ada, grace = newcomer.send(2), newcomer.send(3)
    waiting = newcomer.until(grace, lambda run: "wait-for-order" in _steps(run))
    newcomer.until(ada, lambda run: "wait-for-order" in _steps(run))
    newcomer.send(4)
    fourth = newcomer.until(ada, _has_ended)
    assert fourth["output"] == "Order 7 came first."
    assert re.search(r"waits for event shop/order\.placed until ", waiting["why"])
    assert not _has_ended(newcomer.run(grace))
