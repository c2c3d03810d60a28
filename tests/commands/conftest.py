from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.management import ManagementUtility


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
