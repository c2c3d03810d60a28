from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.management import ManagementUtility

# The kit's own fixture, also where the package is not installed with its entry point.
from inngest_django.testing import Durable
from inngest_django.testing.plugin import durable
from tests.commands.releases import old, ran, release

__all__ = ["durable"]


@dataclass
class Result:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def manage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Runs ``manage.py`` with these words, as a shell would, in this process."""
    # A command called from a shell closes its connections, which a test still needs.
    monkeypatch.setattr("django.db.connections.close_all", lambda: None)

    def run(*words: str, stdin: str = "") -> Result:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = 0
        try:
            ManagementUtility(["manage.py", *words]).execute()
        except SystemExit as ending:
            code = int(ending.code or 0)
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture
def asleep(durable: Durable) -> list[Any]:
    """Three runs of ``old`` that sleep."""
    first = release(old)
    runs = [durable.run(first, {"n": n}) for n in range(3)]
    for run in runs:
        run.assert_sleeping("pause")
    ran.clear()
    return runs
