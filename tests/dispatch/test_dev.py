"""``inngest_dev`` as a person runs it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = pytest.mark.sqlite

FUNCTIONS = """
import datetime as dt
from inngest_django import ContextSync, Inngest, TriggerEvent

client = Inngest(app_id="site")
tries = []

@client.create_function(fn_id="greet", trigger=TriggerEvent(event="site/hello"))
def greet(ctx: ContextSync) -> str:
    ctx.step.run("flaky", flaky)
    ctx.step.sleep("rest", "300ms")
    return ctx.step.run("words", lambda: "Hello, " + ctx.event.data["name"])

def flaky():
    tries.append(1)
    if len(tries) == 1:
        raise ValueError("not yet")
    return 42
"""


class Site:
    """A stock project with our app and one function."""

    def __init__(self, folder: Path) -> None:
        subprocess.run(
            [sys.executable, "-m", "django", "startproject", "site_", "."], cwd=folder, check=True
        )
        self.folder = folder
        package = folder / "pages"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "functions.py").write_text(FUNCTIONS)
        self.configure(
            "INSTALLED_APPS += ['rest_framework', 'django_celery_beat', 'inngest_django', 'pages']\n"
            "INNGEST = {'RETRY_BACKOFF': ['200ms'], 'RETRY_JITTER': '0s'}"
        )
        self.log = folder / "dev.log"
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, lines: str) -> None:
        with (self.folder / "site_" / "settings.py").open("a") as settings:
            settings.write(f"\n{lines}\n")

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @staticmethod
    def environment() -> dict[str, str]:
        kept = {key: os.environ[key] for key in ("HOME", "PATH") if key in os.environ}
        return {**kept, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}

    def dev(self, *arguments: str) -> str:
        """Start ``inngest_dev`` and return its address."""
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "inngest_dev", *arguments],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_for("Ready.")
        found = re.search(r"Web +(http://\S+)/", self.output())
        return found[1] if found else ""

    def output(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str, *, count: int = 1) -> str:
        def said() -> bool:
            ended = self.process is not None and self.process.poll() is not None
            assert not ended, self.output()
            return self.output().count(text) >= count

        wait_until(said, 40, what=text, explain=self.output)
        return self.output()

    def change(self, code: str, *, until: str, count: int = 1) -> None:
        """Save the functions, and again as time goes by: a reloader may just be starting."""
        path = self.folder / "pages" / "functions.py"
        path.write_text(code)
        saved = itertools.count(1)

        def noticed() -> bool:
            # Always a time that nobody saw before.
            moment = time.time() + 10 * next(saved)
            os.utime(path, (moment, moment))
            return self.output().count(until) >= count

        wait_until(noticed, 40, what=until, explain=self.output, interval=2.5)

    def stop(self, number: int) -> tuple[int, float]:
        """Return the exit code and the seconds that stopping took."""
        assert self.process is not None
        started = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(20), time.monotonic() - started

    def end(self) -> None:
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            self.process.wait()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.end()


def test_it_migrates_serves_runs_and_tells_what_happens(site: Site) -> None:
    address = site.dev("--port", "0", "--no-reload")
    assert "Applying" in site.output()
    assert f"{address}/admin/inngest_django/run/" in site.output()
    assert "createsuperuser" in site.output()
    assert "site-greet" in site.output()
    assert urllib.request.urlopen(f"{address}/admin/login/", timeout=10).status == 200
    css = urllib.request.urlopen(f"{address}/static/admin/css/base.css", timeout=10)
    assert css.status == 200

    sent = site.manage("inngest_send", "site/hello", "--data", '{"name": "Ada"}')
    assert sent.returncode == 0, sent.stderr
    output = site.wait_for('= "Hello, Ada"', count=2)

    lines = [line for line in output.splitlines() if "site-greet  " in line]
    told = [re.sub(r"\s+", " ", re.split(r"  \w{6}  ", line)[1]) for line in lines]
    assert told[0] == "▸ run started site/hello"
    assert told[1] == "↻ flaky attempt 1 failed: ValueError: not yet"
    assert re.fullmatch(r"✓ flaky \S+ = 42", told[2])
    assert told[3] == "… rest sleeps"
    assert re.fullmatch(r"✓ rest \S+", told[4])
    assert re.fullmatch(r'✓ words \S+ = "Hello, Ada"', told[5])
    assert re.fullmatch(r'✓ run completed \S+ = "Hello, Ada"', told[6])
    assert len(told) == 7
    # Aligned: the mark stands in one column.
    assert len({re.search("[▸↻✓…]", line).start() for line in lines}) == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("flags", [(), ("--no-reload",)], ids=["reloading", "plain"])
def test_it_ends_cleanly(site: Site, number: int, flags: tuple[str, ...]) -> None:
    site.dev("--port", "0", *flags)

    code, seconds = site.stop(number)

    assert code == 0
    assert seconds < 4
    assert "Traceback" not in site.output()


@pytest.mark.slow
def test_changed_code_is_loaded_on_the_same_port(site: Site) -> None:
    address = site.dev("--port", "0")

    site.change(FUNCTIONS.replace('fn_id="greet"', 'fn_id="salute"'), until="site-salute")

    assert urllib.request.urlopen(f"{address}/admin/login/", timeout=10).status == 200
    assert site.stop(signal.SIGTERM)[0] == 0


@pytest.mark.slow
def test_broken_code_waits_for_its_repair(site: Site) -> None:
    site.dev("--port", "0")
    site.change("this is no Python", until="Waiting for a change")

    site.change(FUNCTIONS, until="Ready.", count=2)

    assert site.stop(signal.SIGTERM)[0] == 0


def test_without_web_nothing_listens(site: Site) -> None:
    address = site.dev("--no-web", "--no-reload")

    assert address == ""
    assert "http://" not in site.output()


@pytest.mark.slow
def test_schedules_go_on_from_now(site: Site) -> None:
    path = site.folder / "pages" / "functions.py"
    yearly = 'TriggerEvent, TriggerCron\n\nYEARLY = TriggerCron(cron="0 0 1 1 *")'
    code = FUNCTIONS.replace("TriggerEvent", yearly, 1)
    path.write_text(code.replace('TriggerEvent(event="site/hello")', "YEARLY"))
    assert site.manage("migrate").returncode == 0
    with contextlib.closing(sqlite3.connect(site.folder / "db.sqlite3")) as database:
        long_ago = "2020-01-01 00:00:00"
        database.execute("UPDATE inngest_schedule SET next_at = ?, fires_at = ?", [long_ago] * 2)
        database.commit()

    site.dev("--no-web", "--no-reload")
    site.wait_for("Ready")

    [function] = json.loads(site.manage("inngest_functions", "--json").stdout)
    assert function["next_at"] > f"{time.gmtime().tm_year}"
    assert json.loads(site.manage("inngest_runs", "--json").stdout) == []


def test_taken_port_is_told_with_a_remedy(site: Site) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = site.manage("inngest_dev", "--port", str(port))

    assert result.returncode == 2
    assert f"Port {port} is in use" in result.stderr
    assert "--port 0" in result.stderr


def test_outside_development_it_warns_and_leaves_the_tables_alone(site: Site) -> None:
    site.configure("DEBUG = False\nALLOWED_HOSTS = ['*']")

    result = site.manage("inngest_dev", "--port", "0")

    assert result.returncode == 2
    assert "DEBUG is False" in result.stderr
    assert "manage.py migrate" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--port", "70000"), "--port must be between 0 and 65535, got 70000."),
        (("--concurrency", "0"), "--concurrency must be at least 1, got 0."),
    ],
)
def test_bad_options_are_refused(site: Site, arguments: tuple[str, ...], message: str) -> None:
    result = site.manage("inngest_dev", *arguments)

    assert result.returncode == 2
    assert message in result.stderr


def test_help_teaches(site: Site) -> None:
    shown = site.manage("inngest_dev", "--help").stdout

    assert "No broker and no Celery app are needed" in shown
    assert "inngest_dev --port 0 " in shown
    assert "celery worker" in shown
