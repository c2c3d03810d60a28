"""What the doctor looks at. Each check is a function that returns its findings."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Exists, OuterRef, Q
from django.utils.connection import ConnectionDoesNotExist

from inngest_django import clock, conf
from inngest_django.durations import format_duration
from inngest_django.engine import hints, recovery, schedules
from inngest_django.functions import registry
from inngest_django.models import Event, Job, Run, Schedule
from inngest_django.models.base import alias
from inngest_django.states import RUN_LIVE

OK, WARNING, ERROR = "ok", "warning", "error"
# What the engine repairs by itself takes less than this.
REPAIR_BOUND = dt.timedelta(seconds=30)
COUNT_LIMIT = 1_000
NAMED = 5


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line of the diagnosis."""

    id: str
    level: str
    message: str
    remedy: str = ""


Check = Callable[[], Finding]


def examine() -> list[Finding]:
    """Return a finding for each check; those that need the tables only when they exist."""
    database = check_database()
    if database.level == ERROR:
        return [database]
    migrations = check_migrations()
    if migrations.level == ERROR:
        return [database, migrations]
    return [database, migrations, *_examine_rows()]


def _examine_rows() -> Iterator[Finding]:
    for check in (
        check_settings,
        check_tick,
        check_overdue_jobs,
        check_stuck_runs,
        check_unrouted_events,
        check_schedules,
        check_unknown_functions,
        check_broker,
    ):
        yield check()


def check_database() -> Finding:
    """Whether the database answers, and keeps what it has answered for."""
    try:
        with connections[alias()].cursor() as cursor:
            cursor.execute("SELECT 1")
            hasty = _hasty_settings(cursor)
    except (DatabaseError, ConnectionDoesNotExist, ImproperlyConfigured) as error:
        return Finding(
            id="database",
            level=ERROR,
            message=f"The database {alias()!r} does not answer: {error}".strip(),
            remedy=f"Start it, or correct DATABASES[{alias()!r}].",
        )
    if hasty:
        return Finding(
            id="database",
            level=WARNING,
            message=(
                f"The database {alias()!r} answers before its disk has what it was given"
                f" ({', '.join(f'{name} is off' for name in hasty)}): when the server crashes,"
                " accepted events, and results of steps that were run, may be gone."
            ),
            remedy=f"Set {' and '.join(hasty)} to on, in the server or for this app's role.",
        )
    return Finding(id="database", level=OK, message=f"The database {alias()!r} answers.")


def _hasty_settings(cursor: Any) -> list[str]:
    """Return the settings by which PostgreSQL confirms what a crash may undo."""
    if connections[alias()].vendor != "postgresql":
        return []
    names = ["fsync", "synchronous_commit"]
    cursor.execute(f"SELECT {', '.join(f'current_setting({name!r})' for name in names)}")
    return [name for name, value in zip(names, cursor.fetchone(), strict=True) if value == "off"]


def check_migrations() -> Finding:
    """Whether the app's tables are up to date."""
    executor = MigrationExecutor(connections[alias()])
    targets = [node for node in executor.loader.graph.leaf_nodes() if node[0] == "inngest_django"]
    missing = [migration.name for migration, _backwards in executor.migration_plan(targets)
               if migration.app_label == "inngest_django"]  # fmt: skip
    if missing:
        return Finding(
            id="migrations",
            level=ERROR,
            message=f"Migrations are not applied: {', '.join(missing)}.",
            remedy=f"Run manage.py migrate --database {alias()}.",
        )
    return Finding(id="migrations", level=OK, message="All migrations are applied.")


def check_settings() -> Finding:
    """Whether ``INNGEST`` can be read."""
    problems = conf.problems()
    if problems:
        return Finding(
            id="settings", level=ERROR, message=" ".join(problems), remedy="Correct INNGEST."
        )
    return Finding(id="settings", level=OK, message="The settings are valid.")


def check_tick() -> Finding:
    """Whether the tick runs."""
    remedy = "Start celery beat, and a worker for the control queue."
    age = recovery.last_tick_age()
    if age is None:
        return Finding(id="tick", level=ERROR, message="No tick ever ran.", remedy=remedy)
    shown = format_duration(dt.timedelta(seconds=round(max(age.total_seconds(), 0))))
    message = f"The last tick ran {shown} ago."
    if age > REPAIR_BOUND:
        return Finding(id="tick", level=ERROR, message=message, remedy=remedy)
    if recovery.overdue():
        # A busy machine is late now and then; workers run an overdue tick themselves.
        return Finding(id="tick", level=WARNING, message=message, remedy=remedy)
    return Finding(id="tick", level=OK, message=message)


def check_overdue_jobs() -> Finding:
    """Whether due work is being done."""
    now = clock.now()
    # A lease that ended as long ago counts too: nobody took the job over.
    rows = Job.objects.filter(available_at__lt=now - REPAIR_BOUND, run__status__in=RUN_LIVE)
    free = rows.filter(Q(leased_until__isnull=True) | Q(leased_until__lt=now - REPAIR_BOUND))
    oldest = free.order_by("available_at").first()
    if oldest is None:
        return Finding(id="overdue_jobs", level=OK, message="No job is overdue.")
    late = format_duration(dt.timedelta(seconds=int((now - oldest.available_at).total_seconds())))
    note = f" ({oldest.note})" if oldest.note else ""
    return Finding(
        id="overdue_jobs",
        level=ERROR,
        message=(
            f"{_counted(free)} jobs are due and nobody works on them; the oldest, of run"
            f" {oldest.run_id}, for {late}{note}."
        ),
        remedy=(
            f"Start workers for the queue of {oldest.function_id!r}"
            f" ({conf.get().queue_for(oldest.function_id)!r}), or more of them."
        ),
    )


def check_stuck_runs() -> Finding:
    """Whether every live run has a job that will move it."""
    # All kinds of job make progress; a run without any is stuck for good.
    stuck = Run.objects.filter(status__in=RUN_LIVE).exclude(
        Exists(Job.objects.filter(run=OuterRef("pk")))
    )
    names = list(stuck.order_by("pk").values_list("pk", flat=True)[:NAMED])
    if not names:
        return Finding(id="stuck_runs", level=OK, message="Every live run has a job.")
    return Finding(
        id="stuck_runs",
        level=ERROR,
        message=f"{_counted(stuck)} live runs have no job that moves them: {', '.join(names)}.",
        remedy="This is a defect: please report it. Cancel these runs, or rerun them.",
    )


def check_unrouted_events() -> Finding:
    """Whether accepted events are routed."""
    late = Event.objects.filter(routed_at__isnull=True, received_at__lt=clock.now() - REPAIR_BOUND)
    oldest = late.order_by("received_at").values_list("pk", flat=True).first()
    if oldest is None:
        return Finding(id="unrouted_events", level=OK, message="No event waits to be routed.")
    return Finding(
        id="unrouted_events",
        level=ERROR,
        message=f"{_counted(late)} events wait to be routed; the oldest is {oldest}.",
        remedy=f"Start a worker for the control queue ({conf.get().CONTROL_QUEUE!r}).",
    )


def check_schedules() -> Finding:
    """Whether what the clock starts is released, and somebody would run it."""
    now = clock.now()
    alive = schedules.alive(now)
    late = alive.filter(fires_at__lt=now - REPAIR_BOUND).order_by("fires_at").first()
    if late is not None:
        shown = format_duration(dt.timedelta(seconds=int((now - late.fires_at).total_seconds())))
        return Finding(
            id="schedules",
            level=ERROR,
            message=(
                f"{late.function_id!r} was to start at {schedules.as_text(late.next_at)}"
                f" by {late.cron!r} and is {shown} late."
            ),
            remedy="Start celery beat and a worker for the control queue; their logs say more.",
        )
    gone = Schedule.objects.exclude(pk__in=alive.values("pk")).order_by("function_id").first()
    if gone is not None:
        return Finding(
            id="schedules",
            level=WARNING,
            message=(
                f"No living process declares the schedule {gone.cron!r} of {gone.function_id!r}:"
                " it starts nothing."
            ),
            remedy="Start a worker that has the function; if it is gone for good, all is well.",
        )
    return Finding(id="schedules", level=OK, message="No schedule is late.")


def check_unknown_functions() -> Finding:
    """Whether this code has every function that live runs need."""
    live = Run.objects.filter(status__in=RUN_LIVE).order_by().values_list("function_id", flat=True)
    unknown = sorted(name for name in set(live.distinct()) if registry.get(name) is None)
    if not unknown:
        return Finding(id="unknown_functions", level=OK, message="The code has every function.")
    return Finding(
        id="unknown_functions",
        level=ERROR,
        message=f"Live runs need functions that this code does not have: {', '.join(unknown)}.",
        remedy="Deploy code that has them, or cancel their runs.",
    )


def check_broker() -> Finding:
    """Whether hints can be published; one for routing does no harm at any time."""
    if hints.route():
        return Finding(id="broker", level=OK, message="The broker takes messages.")
    return Finding(
        id="broker",
        level=ERROR,
        message="The broker takes no messages.",
        remedy="Start it, or correct the broker URL of the Celery app.",
    )


def _counted(rows: Any) -> str:
    count = rows.order_by()[: COUNT_LIMIT + 1].count()
    return f"over {COUNT_LIMIT}" if count > COUNT_LIMIT else str(count)


def is_good(findings: Sequence[Finding]) -> bool:
    """Return whether nothing is wrong."""
    return all(finding.level != ERROR for finding in findings)
