"""Without settings the delays are Inngest's: 15 s, 30 s, 1 m … plus up to 30 s of jitter."""

from __future__ import annotations

import datetime as dt

import inngest_django as inngest
from inngest_django.conf import Settings
from tests.functional.settings_of_worker import worker_with
from tests.functional.support import Live, client, event_name


@client.create_function(
    fn_id="backoff-table", trigger=inngest.TriggerEvent(event=event_name("backoff-table"))
)
def failing(ctx: inngest.ContextSync) -> None:
    raise RuntimeError("again")


def test_the_table() -> None:
    seconds = [delay.total_seconds() for delay in Settings().RETRY_BACKOFF]

    assert seconds == [15, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200]
    assert Settings().RETRY_JITTER == dt.timedelta(seconds=30)


def test_a_failed_attempt_waits_that_long(live: Live) -> None:
    with worker_with(live, RETRY_BACKOFF=["15s"], RETRY_JITTER="30s"):
        run = live.start(failing)
        job = live.wait_until(
            lambda: run.jobs.filter(attempt=1).first(), what="job of the next attempt"
        )

    delay = job.available_at - run.attempts.get().ended_at
    assert dt.timedelta(seconds=15) <= delay <= dt.timedelta(seconds=46)
