"""The kit under Django's own test runner, in several processes at once."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.repo.readme import ROOT
from tests.testing.test_surroundings import FUNCTIONS, SETTINGS

TESTS = """
import os
import time
from pathlib import Path

from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase
from inngest_django.models import Run
from inngest_django.testing import Durable
from shop.functions import welcome


class Kit:
    def setUp(self):
        self.durable = self.enterContext(Durable())

    def test_three_days(self):
        with Path("processes").open("a") as file:
            print(os.getpid(), file=file)
        # So that no process can take all tests before the other one has begun.
        end = time.monotonic() + 60
        while len(set(Path("processes").read_text().split())) < 2:
            self.assertLess(time.monotonic(), end, "there is no second process")
            time.sleep(0.02)
        name = type(self).__name__
        run = self.durable.run(welcome, {"name": name})
        self.durable.advance("3 days")
        run.assert_completed(output=name)
        self.assertEqual(Run.objects.count(), 1)


class One(Kit, TestCase):
    pass


class Two(Kit, TestCase):
    pass


class Committed(Kit, TransactionTestCase):
    def test_nothing_is_open(self):
        self.durable.run(welcome, {"name": "x"})
        self.assertFalse(connection.in_atomic_block)

"""


@pytest.mark.sqlite  # Its project has settings of its own, the same in every profile.
def test_parallel_processes_have_runs_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    for name, text in (
        ("settings.py", SETTINGS),
        ("shop/__init__.py", ""),
        ("shop/functions.py", FUNCTIONS),
        ("shop/tests.py", TESTS),
    ):
        (tmp_path / name).write_text(textwrap.dedent(text))

    done = subprocess.run(
        [sys.executable, "-m", "django", "test", "--parallel", "2", "--settings", "settings"],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": "/usr/bin:/bin",
             "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )  # fmt: skip

    shown = done.stdout + done.stderr
    assert done.returncode == 0, shown
    assert "Ran 4 tests" in shown, shown
    assert len(set((tmp_path / "processes").read_text().split())) == 2
