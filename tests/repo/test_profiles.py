"""Which tests run where, and what happens when a service is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.profiles import ONCE, PROFILES, is_said_once
from tests.repo.readme import ROOT

SQLITE, FULL, REDIS, DJANGO60 = PROFILES.values()


@pytest.mark.parametrize(
    ("marks", "where"),
    [
        ("", [SQLITE, FULL]),
        ("smoke", [SQLITE, FULL, REDIS, DJANGO60]),
        ("sqlite", [SQLITE]),
        ("postgres", [FULL]),
        ("rabbitmq", [FULL]),
        ("services faults", [FULL]),
        ("services smoke", [FULL, REDIS, DJANGO60]),
        ("rabbitmq smoke", [FULL, DJANGO60]),
        ("redis", [REDIS]),
        ("django60", [DJANGO60]),
    ],
)
def test_marks_select_profiles(
    marks: str, where: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INNGEST_TEST_FULL", raising=False)

    selected = [p for p in PROFILES.values() if p.selects(frozenset(marks.split()))]

    assert selected == where


def test_folders_without_a_database_are_there_and_hold_nothing_that_needs_one() -> None:
    for folder in ONCE:
        path = ROOT / "tests" / folder
        tests = [path] if path.is_file() else list(path.rglob("test_*.py"))
        assert tests, folder
        for path in tests:
            assert is_said_once(path.relative_to(ROOT / "tests").as_posix())
            # It would run nowhere.
            assert not re.search(
                r"mark\.(postgres|rabbitmq|redis|services|faults)\b", path.read_text()
            )
    assert not is_said_once("engine/test_protocol.py")


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("profile", "missing", "named"),
    [
        ("postgres+rabbitmq", {"PGHOST": "127.0.0.1", "PGPORT": "1"}, "PostgreSQL does not answer"),
        ("no such thing", {}, "choose one of sqlite"),
    ],
)
def test_missing_service_ends_the_session_with_its_name(
    profile: str, missing: dict[str, str], named: str
) -> None:
    inherited = {key: os.environ[key] for key in ("HOME", "PATH", "TMPDIR") if key in os.environ}

    result = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/repo/test_files.py"],
        cwd=ROOT,
        env={**inherited, **missing, "INNGEST_TEST_PROFILE": profile},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode != 0
    assert named in result.stdout + result.stderr
    assert " passed" not in result.stdout
