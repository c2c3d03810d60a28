"""The kit beside other tools: unittest, time-machine, pytest-xdist, and a project's own code."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import transaction
from django.test import TestCase
from django.utils import timezone

from inngest_django import ContextSync, Event, Inngest, TriggerEvent, clock, testing
from inngest_django.engine import executor, hints, retries
from inngest_django.functions import registry
from inngest_django.models import Run
from inngest_django.testing import Durable
from tests.repo.readme import ROOT

GO = TriggerEvent(event="kit/go")
NEW_YEAR = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
client = Inngest(app_id="kit", is_production=False)


@client.create_function(fn_id="sleeper", trigger=GO)
def sleeper(ctx: ContextSync) -> list[str]:
    ctx.step.sleep("nap", "3d")
    return [ctx.step.run("look", lambda: timezone.now().isoformat())]


# unittest --------------------------------------------------------------------------------


class WithUnittest(TestCase):
    def setUp(self) -> None:
        self.durable = self.enterContext(Durable())

    def test_three_days_pass(self) -> None:
        run = self.durable.run(sleeper)
        self.durable.advance("3 days")

        run.assert_completed()

    def test_events_sent_by_the_code_under_test_are_found(self) -> None:
        self.durable.register(sleeper)
        with transaction.atomic():
            client.send_sync(Event(name="kit/go"))
        self.durable.run_until_idle()

        self.durable.only_run(sleeper).assert_sleeping("nap")

    def test_callbacks_are_not_needed_and_do_not_harm(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            run = self.durable.run(sleeper)

        run.assert_sleeping("nap")

    def test_rows_of_other_tests_are_gone(self) -> None:
        assert Run.objects.count() == 0


def test_everything_is_as_before_afterwards(db: None) -> None:
    before = (executor.driver, retries.next_delay, hints.install(hints._Nobody()))
    hints.install(before[2])

    with Durable() as kit:
        kit.run(sleeper)
        assert clock.is_moved()
        assert executor.driver is not before[0]

    after = (executor.driver, retries.next_delay, hints.install(before[2]))
    assert after == before
    assert not clock.is_moved()
    assert registry.get(sleeper.id) is None


def test_a_second_one_is_refused(durable: Durable) -> None:
    with pytest.raises(RuntimeError, match="entered already"), Durable():
        pass


def test_public_names_are_those_of_all() -> None:
    assert set(testing.__all__) == {n for n in testing.__all__ if getattr(testing, n) is not None}
    assert set(testing.__all__) <= set(dir(testing))
    with pytest.raises(AttributeError):
        _ = testing.nothing


# time-machine ----------------------------------------------------------------------------


@time_machine.travel(NEW_YEAR, tick=False)
def test_time_machine_is_moved_along(durable: Durable) -> None:
    run = durable.run(sleeper)
    durable.advance("4 days")

    assert durable.now == timezone.now() == NEW_YEAR + dt.timedelta(days=4)
    run.assert_completed(output=[(NEW_YEAR + dt.timedelta(days=3)).isoformat()])


@time_machine.travel(dt.datetime(2030, 7, 1, 2, tzinfo=ZoneInfo("Asia/Tokyo")))
def test_time_machine_may_tick_and_keeps_its_zone(durable: Durable) -> None:
    run = durable.run(sleeper)
    durable.advance("3 days")

    run.assert_completed()
    assert time.tzname[0] == "JST"
    assert dt.datetime.now().date() == dt.date(2030, 7, 4)  # noqa: DTZ005 - in the zone


def test_time_machine_is_followed(durable: Durable) -> None:
    with time_machine.travel(NEW_YEAR, tick=False) as traveller:
        run = durable.run(sleeper)
        traveller.shift(dt.timedelta(days=2))
        durable.run_until_idle()
        run.assert_sleeping("nap", until=NEW_YEAR + dt.timedelta(days=3))
        traveller.shift(dt.timedelta(days=5))
        durable.run_until_idle()

        assert durable.now == NEW_YEAR + dt.timedelta(days=7)
    run.assert_completed(output=[(NEW_YEAR + dt.timedelta(days=3)).isoformat()])


# pytest's plugin -------------------------------------------------------------------------

SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "inngest_django", "shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "unused.sqlite3"}}
USE_TZ = True
"""
FUNCTIONS = """
from inngest_django import Inngest, TriggerEvent

client = Inngest(app_id="shop")


@client.create_function(fn_id="welcome", trigger=TriggerEvent(event="shop/created"))
def welcome(ctx):
    ctx.step.sleep("nap", "3d")
    return ctx.event.data["name"]
"""
TESTS = """
import pytest
from shop.functions import welcome


@pytest.mark.parametrize("name", ["ada", "ben", "cleo", "dan"])
def test_welcome(durable, name):
    run = durable.run(welcome, {"name": name})
    durable.advance("3 days")
    run.assert_completed(output=name)
    assert len(durable.runs()) == 1


def test_failing(durable):
    durable.run(welcome, {"name": "x"})
    assert False
"""


def test_plugin_in_a_project_of_its_own_with_xdist(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    for name, text in (
        ("settings.py", SETTINGS),
        ("shop/__init__.py", ""),
        ("shop/functions.py", FUNCTIONS),
        ("test_shop.py", TESTS),
        ("pytest.ini", "[pytest]\nDJANGO_SETTINGS_MODULE = settings\npythonpath = .\n"),
    ):
        (tmp_path / name).write_text(textwrap.dedent(text))
    words = "-q -n 2 -p inngest_django.testing.plugin -p no:cacheprovider -p no:randomly"

    result = subprocess.run(
        [sys.executable, "-m", "pytest", *words.split()],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert "1 failed, 4 passed" in result.stdout, result.stdout + result.stderr
    assert "durable runs" in result.stdout
    assert "Sleeps in step nap until" in result.stdout
