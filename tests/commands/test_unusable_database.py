"""Commands before ``migrate``, and without a database."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections, transaction

from inngest_django.management import commands

Manage = Callable[..., Any]

RUN = "01H00000000000000000000000"
# What each command needs to get as far as its first query.
WORDS = {
    "inngest_cancel": (RUN,),
    "inngest_check": (),
    "inngest_export": (RUN,),
    "inngest_functions": (),
    "inngest_prune": (),
    "inngest_rerun": (RUN,),
    "inngest_runs": (),
    "inngest_send": ("shop/order.paid",),
    "inngest_show": (RUN,),
}
# These look for themselves, and have tests of their own.
OTHERS = {"inngest_chaos", "inngest_dev", "inngest_doctor"}


@pytest.fixture
def path(
    tmp_path: Path, settings: Any, django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The file of a database that nobody has made."""
    # Writes are tried again, in case the fault passes.
    monkeypatch.setattr("time.sleep", lambda _: None)
    name = f"file-{tmp_path.name}"
    path = tmp_path / "db.sqlite3"
    connections.databases[name] = connections.configure_settings(
        {"default": {}, name: {"ENGINE": "django.db.backends.sqlite3", "NAME": path}}
    )[name]
    settings.INNGEST = {**settings.INNGEST, "DATABASE": name}
    # The mark ``django_db`` would allow no database that it has not set up itself.
    with django_db_blocker.unblock():
        yield path
        connections[name].close()
    del connections[name]
    del connections.databases[name]


def test_every_command_is_here() -> None:
    names = {module.name for module in pkgutil.iter_modules(commands.__path__)}

    assert names == WORDS.keys() | OTHERS


@pytest.mark.parametrize("name", WORDS.keys() - {"inngest_check"})
def test_tables_that_are_missing_end_it_with_the_remedy(
    manage: Manage, path: Path, name: str
) -> None:
    result = manage(name, *WORDS[name])

    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("CommandError: Migrations are not applied: 0001_initial,")
    assert result.err.endswith(f"Run manage.py migrate --database file-{path.parent.name}.\n")
    assert result.err.count("\n") == 1


def test_a_deploy_check_says_which_database_it_needs(manage: Manage, path: Path) -> None:
    result = manage("inngest_check")

    assert result.code == 2
    assert result.err.startswith("CommandError: The live runs cannot be read: no such table")


@pytest.mark.parametrize("name", WORDS.keys() - {"inngest_check"})
def test_a_database_that_is_away_ends_it_with_the_remedy(
    manage: Manage, path: Path, name: str
) -> None:
    path.mkdir()

    result = manage(name, *WORDS[name])

    assert (result.code, result.out) == (2, "")
    assert "does not answer: unable to open database file" in result.err
    assert "Start it, or correct DATABASES" in result.err
    assert result.err.count("\n") == 1


def test_other_errors_of_a_database_that_is_there_stay_as_they_are(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("out of memory")

    monkeypatch.setattr("inngest_django.management.commands.inngest_functions.functions", fail)

    with pytest.raises(OperationalError, match="out of memory"):
        call_command("inngest_functions")


def test_inside_a_transaction_the_error_stays_as_it_is(path: Path) -> None:
    name = f"file-{path.parent.name}"

    with pytest.raises(OperationalError, match="no such table"), transaction.atomic(using=name):
        call_command("inngest_functions")


def test_from_code_it_is_a_command_error(path: Path) -> None:
    with pytest.raises(CommandError, match=r"Run manage\.py migrate") as caught:
        call_command("inngest_functions")

    assert isinstance(caught.value.__cause__, OperationalError)
