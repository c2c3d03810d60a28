"""What a session reads of the app's tables, and what it leaves behind: nothing."""

from __future__ import annotations

import dataclasses
import datetime as dt

from django.db import connections, transaction
from django.db.models import Q

from inngest_django.engine import recovery, transactions
from inngest_django.models import (
    Attempt,
    Event,
    Function,
    Job,
    Pulse,
    Run,
    Step,
    Wait,
    WaitKey,
    WaitShape,
)
from inngest_django.models.base import alias
from inngest_django.states import RUN_LIVE
from inngest_django.testing.chaos.functions import EFFECTS_TABLE, PREFIX

_BATCH = 500
_ALIVE = dt.timedelta(seconds=15)
_LIVE = "('queued', 'running')"
_OPEN = "('planned', 'running', 'waiting')"

# True in every committed state, so that one statement, which is one snapshot, may look at any
# time. Columns: what, run, more.
_UNSOUND = f"""
SELECT 'live run without a job', r.id, r.function_id FROM inngest_run r
  WHERE r.function_id LIKE %s AND r.status IN {_LIVE}
  AND NOT EXISTS (SELECT 1 FROM inngest_job j WHERE j.run_id = r.id)
UNION ALL SELECT 'open step without a job', r.id, s.name
  FROM inngest_run r JOIN inngest_step s ON s.run_id = r.id
  WHERE r.function_id LIKE %s AND r.status IN {_LIVE} AND s.status IN {_OPEN}
  AND NOT EXISTS (SELECT 1 FROM inngest_job j WHERE j.step_id = s.id)
UNION ALL SELECT 'job of a step that is not open', r.id, s.name
  FROM inngest_run r JOIN inngest_step s ON s.run_id = r.id
  JOIN inngest_job j ON j.step_id = s.id
  WHERE r.function_id LIKE %s AND s.status NOT IN {_OPEN}
UNION ALL SELECT 'job of an ended run', r.id, j.kind
  FROM inngest_run r JOIN inngest_job j ON j.run_id = r.id
  WHERE r.function_id LIKE %s AND r.status NOT IN {_LIVE}
UNION ALL SELECT 'open step of an ended run', r.id, s.name
  FROM inngest_run r JOIN inngest_step s ON s.run_id = r.id
  WHERE r.function_id LIKE %s AND r.status NOT IN {_LIVE} AND s.status IN {_OPEN}
"""  # noqa: S608 - only the constants above are put together


@dataclasses.dataclass(frozen=True, slots=True)
class Outstanding:
    """What was due at a moment: jobs under their leases, and events to route."""

    jobs: frozenset[tuple[int, int | None]]
    events: frozenset[str]

    def left(self, later: Outstanding) -> bool:
        """Return whether some of it has not moved until later."""
        return bool(self.jobs & later.jobs or self.events & later.events)


def ours() -> Q:
    """Return the condition for runs of the load."""
    return Q(function_id__startswith=f"{PREFIX}-")


def outstanding() -> Outstanding:
    """Return what is due now."""
    with transaction.atomic(using=alias()):
        now = transactions.now()
        jobs = Job.objects.filter(function_id__startswith=f"{PREFIX}-", available_at__lte=now)
        events = Event.objects.filter(name__startswith=f"{PREFIX}/", routed_at=None)
        return Outstanding(
            frozenset(jobs.values_list("id", "lease_token")),
            frozenset(events.values_list("id", flat=True)),
        )


def unsound() -> list[str]:
    """Return what is wrong with the rows as they are now, in words; nothing ever should be."""
    with connections[alias()].cursor() as cursor:
        cursor.execute(_UNSOUND, [f"{PREFIX}-%"] * 5)
        return [f"{what}: {run_id} {more}" for what, run_id, more in cursor.fetchall()]


def counts() -> tuple[int, int]:
    """Return how many runs of the load there are, and how many of them have ended."""
    found = Run.objects.filter(ours())
    return found.count(), found.exclude(status__in=RUN_LIVE).count()


def holds_runs() -> bool:
    """Return whether the database holds runs that are not of the load."""
    return Run.objects.exclude(ours()).exists()


def last_tick() -> float | None:
    """Return how many seconds ago somebody else's worker or beat ticked, if one may be alive."""
    age = recovery.last_tick_age()
    return age.total_seconds() if age is not None and age < _ALIVE else None


def pulse() -> dt.datetime | None:
    """Return when a tick last ran."""
    return Pulse.objects.values_list("ticked_at", flat=True).first()


def restore_pulse(moment: dt.datetime | None) -> None:
    """Put that back: the load's ticks are not the project's."""
    Pulse.objects.update(ticked_at=moment)


def prepare() -> None:
    """Take away what an earlier session left, and make the table of effects."""
    clean()
    with connections[alias()].cursor() as cursor:
        cursor.execute(f"CREATE TABLE {EFFECTS_TABLE} (run_id text, step text)")


def effects() -> list[tuple[str, str]]:
    """Return what transaction steps wrote: run and step."""
    with connections[alias()].cursor() as cursor:
        cursor.execute(f"SELECT run_id, step FROM {EFFECTS_TABLE}")  # noqa: S608
        return [(run_id, step) for run_id, step in cursor.fetchall()]


def clean() -> None:
    """Delete every row of the load, its functions and its table."""
    while run_ids := list(Run.objects.filter(ours()).values_list("id", flat=True)[:_BATCH]):
        _delete_runs(run_ids)
    # Internal events name the load's functions in their data.
    Event.objects.filter(
        Q(name__startswith=f"{PREFIX}/")
        | Q(name__startswith="inngest/", data__contains=f"{PREFIX}-")
    ).exclude(runs__isnull=False).delete()
    WaitShape.objects.filter(event_name__startswith=f"{PREFIX}/").delete()
    Function.objects.filter(id__startswith=f"{PREFIX}-").delete()
    with connections[alias()].cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {EFFECTS_TABLE}")


def _delete_runs(run_ids: list[str]) -> None:
    with transaction.atomic(using=alias()):
        Run.objects.filter(id__in=run_ids).update(parent=None, original_run=None)
        Run.objects.filter(parent__run_id__in=run_ids).update(parent=None)
        Run.objects.filter(original_run_id__in=run_ids).update(original_run=None)
        waits = Wait.objects.filter(run_id__in=run_ids)
        WaitKey.objects.filter(wait__in=waits).delete()
        waits.delete()
        Attempt.objects.filter(run_id__in=run_ids).delete()
        Job.objects.filter(run_id__in=run_ids).delete()
        Step.objects.filter(run_id__in=run_ids).delete()
        Run.objects.filter(id__in=run_ids).delete()
