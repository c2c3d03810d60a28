"""Beat and workers start what the clock starts; a test need not wait for New Year."""

from __future__ import annotations

import datetime as dt

import inngest_django as inngest
from inngest_django.clock import now
from inngest_django.models import Run, Schedule
from tests import ledger
from tests.functional.support import Live, client
from tests.processes import wait_until


@client.create_function(
    fn_id="new-year", retries=0, trigger=inngest.TriggerCron(cron="0 0 1 1 *", jitter="1s")
)
def new_year(ctx: inngest.ContextSync) -> object:
    def greet() -> object:
        ledger.note(ctx.run_id, "greet")
        return ctx.event.data["scheduledAt"]

    return ctx.step.run("greet", greet)


def test_a_time_that_comes_starts_one_run(live: Live) -> None:
    schedule = Schedule.objects.get(function_id="functional-new-year")
    year = now().year
    assert schedule.next_at == dt.datetime(year + 1, 1, 1, tzinfo=dt.UTC)
    # As if the last New Year were now.
    last = schedule.next_at.replace(year=year)
    Schedule.objects.filter(pk=schedule.pk).update(next_at=last, fires_at=now())

    wait_until(lambda: Run.objects.filter(function_id="functional-new-year").exists(), timeout=20)

    run = live.ended(Run.objects.get(function_id="functional-new-year"))
    assert run.output == f"{year}-01-01T00:00:00Z"
    assert ledger.count(run.id, "greet") == 1
    after = Schedule.objects.get(pk=schedule.pk)
    assert (after.last_at, after.next_at) == (last, schedule.next_at)
