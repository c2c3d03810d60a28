"""How the tests run.

Tests of one noun use pytest-django's ``db`` marks as usual, in any folder. Tests of behaviour
(``tests/functional``, ``tests/faults``) run against a live worker and beat:

* ``INNGEST_TEST_PROFILE`` chooses database and broker; ``tests/profiles.py`` has the table.
  In ``sqlite`` worker and beat are threads of this process, else processes of their own.
* A test module declares its functions at module level, below its imports::

      from tests.functional.support import client, event_name

      @client.create_function(fn_id="two-steps", trigger=TriggerEvent(event=event_name("two-steps")))
      def two_steps(ctx: ContextSync) -> str:
          ledger.note(ctx.run_id, "entered")
          return ctx.step.run("first", lambda: ledger.note(ctx.run_id, "first"))

      def test_each_body_runs_once(live: Live) -> None:
          run = live.run(two_steps, {"x": 1})         # sends its event, waits for the end

          assert run.status == "completed"
          assert ledger.count(run.id, "first") == 1

  ``tests/app/functions.py`` imports every such module, in the worker too. Ids of functions
  and names of events must therefore be unique over all files.
* ``live`` has ``send``, ``run``, ``started``, ``ended``, ``wait_until`` and ``stack``;
  ``tests/functional/support.py`` documents them. Rows are never cleaned away: find yours by
  the event that you sent.
* ``live.stack`` is the worker and beat (``tests/processes.py``). A test that stops, kills or
  reconfigures them carries ``@pytest.mark.services``; afterwards both are made whole again.
* Bodies leave their marks with ``tests.ledger``, outside the app's database.
* ``INNGEST_TEST_CHECKPOINTING=1`` turns checkpointing on for every function that does not say
  otherwise; ``tests/functional`` passes both ways. ``variants.CHECKPOINTED`` is for tests that
  count entries or hooks.
* Marks: ``postgres``, ``rabbitmq``, ``redis``, ``services``, ``faults``, ``django60`` name what a
  test needs; it is deselected, and counted in the summary, where that is not offered.
  ``smoke`` adds a test to the ``redis`` and ``django60`` profiles.

Order is random (pytest-randomly), but tests of a live worker come last, because the
other ones empty the tables.
"""

from __future__ import annotations

import collections
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
import pytest
from django.conf import settings
from django.db import connection
from django.test import TransactionTestCase
from django.test.utils import setup_databases, teardown_databases

from tests import processes, profiles, tables

if TYPE_CHECKING:
    from tests.functional.support import Live

TESTS = Path(__file__).parent
_left_out: collections.Counter[str] = collections.Counter()


def pytest_report_header() -> str:
    profile = profiles.current()
    return f"profile: {profile.name} ({profile.database}, {profile.broker}), Django {django.__version__}"


def pytest_sessionstart(session: pytest.Session) -> None:
    profile = profiles.current()
    if not profile.has_processes or session.config.option.collectonly:
        return
    if profile.name == "django60" and django.VERSION[:2] != (6, 0):
        pytest.exit(f"Profile django60 needs Django 6.0, found {django.__version__}.", 3)
    try:
        processes.check_services()
    except RuntimeError as error:
        pytest.exit(f"Profile {profile.name}: {error}", 3)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept, dropped = [], []
    for item in items:
        marks = frozenset(mark.name for mark in item.iter_markers())
        if profiles.is_said_once(item.path.relative_to(TESTS).as_posix()) and "smoke" not in marks:
            marks |= {"sqlite"}
        reason = profiles.left_out_because(marks)
        if reason:
            _left_out[reason] += 1
            dropped.append(item)
        else:
            kept.append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
    # A stable sort: a live worker must not see its tables emptied by another test.
    items[:] = sorted(kept, key=lambda item: "stack" in getattr(item, "fixturenames", ()))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(_left_out.items()))
    terminalreporter.write_line(
        f"profile {profiles.current().name}: {_left_out.total()} tests deselected"
        f" because they need something else{f' ({reasons})' if reasons else ''}"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    live = getattr(item, "funcargs", {}).get("live")
    if call.when == "call" and report.failed and live is not None:
        for name, output in live.stack.logs():
            report.sections.append(
                (f"{name}, its last lines", "\n".join(output.splitlines()[-80:]))
            )
    return report


def pytest_unconfigure() -> None:
    shutil.rmtree(settings.VAR_DIR, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, django_db_blocker: Any) -> Iterator[None]:
    """The test database, in pytest-django's place: that one looks for ``django_db`` marks."""
    with django_db_blocker.unblock():
        databases = setup_databases(verbosity=0, interactive=False, aliases={"default"})
        baseline = tables.Baseline()
    with pytest.MonkeyPatch.context() as patch:
        # What empties the tables after a test with ``transactional_db``, pytest-django's too.
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _: baseline.restore())
        yield
    with django_db_blocker.unblock():
        _close_other_sessions()
        teardown_databases(databases, verbosity=0)


def _close_other_sessions() -> None:
    """A killed worker's session may outlive it by a moment, and a database in use stays."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture(scope="session")
def stack(django_db_setup: None, django_db_blocker: Any) -> Iterator[processes.Stack]:
    """A worker and beat for the rest of the session."""
    chosen = processes.ProcessStack if profiles.current().has_processes else processes.LocalStack
    with django_db_blocker.unblock():
        running = chosen()
        running.start()
        try:
            yield running
        finally:
            running.stop()


@pytest.fixture
def live(stack: processes.Stack) -> Iterator[Live]:
    """A live worker and beat, and the words to use them."""
    from tests.functional.support import Live

    yield Live(stack)
    stack.heal()
