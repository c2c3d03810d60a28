from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from inngest_django import clock
from inngest_django.engine import hints
from inngest_django.engine.hints import JobHint
from inngest_django.functions import registry
from tests import factories

pytestmark = pytest.mark.django_db

Manage = Callable[..., Any]


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick just ran, and the code has the factories' function."""
    factories.pulse()
    monkeypatch.setattr(
        registry, "get", lambda function_id: object() if "gone" not in function_id else None
    )


def broken(result: Any) -> dict[str, str]:
    """The findings that are errors, by id."""
    return {c["id"]: c["message"] for c in result.json["checks"] if c["level"] == "error"}


@pytest.mark.usefixtures("healthy")
def test_healthy_installation_ends_with_zero(manage: Manage) -> None:
    factories.sleeping_run()
    factories.running_run()
    factories.completed_run(function_id="gone-long-ago")

    result = manage("inngest_doctor", "--json")

    assert broken(result) == {}
    assert (result.code, result.json["ok"]) == (0, True)
    assert {"id", "level", "message", "remedy"} == set(result.json["checks"][0])
    assert [check["id"] for check in result.json["checks"]] == [
        "database", "migrations", "settings", "tick", "overdue_jobs", "stuck_runs",
        "unrouted_events", "schedules", "unknown_functions", "broker",
    ]  # fmt: skip


@pytest.mark.postgres
@pytest.mark.usefixtures("healthy")
def test_a_database_that_does_not_wait_for_its_disk_is_warned_of(manage: Manage) -> None:
    def database() -> dict[str, str]:
        return next(
            c for c in manage("inngest_doctor", "--json").json["checks"] if c["id"] == "database"
        )

    assert database()["level"] == "ok"

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
    found = database()

    assert found["level"] == "warning"
    assert "synchronous_commit is off" in found["message"]
    assert "fsync" not in found["message"]
    assert found["remedy"].startswith("Set synchronous_commit to on")


@pytest.mark.usefixtures("healthy")
def test_text_says_what_is_wrong_and_what_to_do(manage: Manage) -> None:
    factories.unrouted_event()

    result = manage("inngest_doctor")

    assert result.code == 1
    assert "1 events wait to be routed" in result.out
    assert "Start a worker for the control queue" in result.out
    assert "Something is wrong." in result.out


@pytest.mark.usefixtures("healthy")
def test_each_fault_is_found(manage: Manage) -> None:
    overdue = factories.run("running")
    factories.job(overdue, available_at=factories.ago(400), note="unknown function")
    lost = factories.run("running")
    factories.job(
        lost, available_at=factories.ago(300), lease_token=1, leased_until=factories.ago(200)
    )
    stuck = factories.run("running")
    factories.sleeping_run(function_id="gone-function")
    factories.unrouted_event(received_at=factories.ago(300))
    factories.pulse(seconds_ago=600)

    found = broken(manage("inngest_doctor", "--json"))

    assert set(found) == {
        "tick", "overdue_jobs", "stuck_runs", "unrouted_events", "unknown_functions"
    }  # fmt: skip
    assert found["overdue_jobs"].startswith("2 jobs are due")
    assert overdue.pk in found["overdue_jobs"]
    assert "unknown function" in found["overdue_jobs"]
    assert stuck.pk in found["stuck_runs"]
    assert "gone-function" in found["unknown_functions"]
    assert "10m" in found["tick"]


@pytest.mark.usefixtures("healthy")
def test_a_tick_that_is_a_little_late_is_a_warning(manage: Manage) -> None:
    factories.pulse(seconds_ago=10)

    result = manage("inngest_doctor", "--json")

    levels = {check["id"]: check["level"] for check in result.json["checks"]}
    assert (result.code, levels["tick"]) == (0, "warning")


def test_no_tick_ever_is_an_error(manage: Manage) -> None:
    assert broken(manage("inngest_doctor", "--json"))["tick"] == "No tick ever ran."


@pytest.mark.usefixtures("healthy")
def test_what_was_just_accepted_is_no_fault(manage: Manage) -> None:
    run = factories.run("queued")
    factories.job(run, available_at=clock.now())
    factories.unrouted_event(received_at=clock.now())

    result = manage("inngest_doctor", "--json")

    assert "overdue_jobs" not in broken(result)
    assert "unrouted_events" not in broken(result)


@pytest.mark.usefixtures("healthy")
def test_unreachable_broker_is_found(manage: Manage) -> None:
    class Unreachable:
        def execute(self, hints: Sequence[JobHint]) -> bool:
            return False

        def route(self) -> bool:
            return False

        def prune(self, number: int) -> bool:
            return False

        def waiting(self, queue: str) -> int:
            return 0

    previous = hints.install(Unreachable())
    try:
        result = manage("inngest_doctor", "--json")
    finally:
        hints.install(previous)

    assert set(broken(result)) == {"broker"}


@pytest.mark.usefixtures("healthy")
def test_bad_setting_is_found(manage: Manage, settings: Any) -> None:
    settings.INNGEST = {**settings.INNGEST, "TIKC": "1s"}

    assert "'TICK'" in broken(manage("inngest_doctor", "--json"))["settings"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
def test_missing_migrations_are_found_before_anything_reads_tables(manage: Manage) -> None:
    try:
        call_command("migrate", "inngest_django", "zero", verbosity=0)
        result = manage("inngest_doctor", "--json")
    finally:
        call_command("migrate", "inngest_django", verbosity=0)

    assert result.code == 1
    assert "0001_initial" in broken(result)["migrations"]
    assert "inngest_run" in connection.introspection.table_names()


def test_unreachable_database_is_found(manage: Manage, settings: Any) -> None:
    settings.INNGEST = {**settings.INNGEST, "DATABASE": "elsewhere"}

    result = manage("inngest_doctor", "--json")

    assert result.code == 1
    assert set(broken(result)) == {"database"}


@pytest.mark.usefixtures("healthy")
def test_a_schedule_that_is_late_is_found(manage: Manage) -> None:
    late = clock.now() - dt.timedelta(seconds=5_000)
    factories.schedule("shop-nightly", cron="0 3 * * *", next_at=late)

    message = broken(manage("inngest_doctor", "--json"))["schedules"]

    assert "'shop-nightly' was to start at " in message
    assert "by '0 3 * * *' and is 1h23m" in message


@pytest.mark.usefixtures("healthy")
def test_a_schedule_that_no_process_has_is_a_warning(manage: Manage) -> None:
    """Late or not: nobody could run it."""
    factories.schedule(
        "gone-nightly", next_at=factories.ago(5_000), registered_at=factories.ago(5_000)
    )

    result = manage("inngest_doctor", "--json")

    assert broken(result) == {}
    [check] = [c for c in result.json["checks"] if c["id"] == "schedules"]
    assert check["level"] == "warning"
    assert "'0 * * * *' of 'gone-nightly'" in check["message"]


@pytest.mark.usefixtures("healthy")
def test_a_schedule_in_time_is_no_fault(manage: Manage) -> None:
    factories.schedule()

    [check] = [
        c for c in manage("inngest_doctor", "--json").json["checks"] if c["id"] == "schedules"
    ]
    assert (check["level"], check["message"]) == ("ok", "No schedule is late.")
