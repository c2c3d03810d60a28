"""Without settings the delays are Inngest's: 15 s, 30 s, 1 m … plus up to 30 s of jitter."""

from __future__ import annotations

import datetime as dt

import pytest

import inngest_django as inngest
from inngest_django.conf import Settings
from inngest_django.engine import retries
from tests.functional.settings_of_worker import worker_with
from tests.functional.support import Live, client, event_name


@client.create_function(
    fn_id="backoff-table", trigger=inngest.TriggerEvent(event=event_name("backoff-table"))
)
def failing(ctx: inngest.ContextSync) -> None:
    raise RuntimeError("again")


def test_the_table() -> None:
    defaults = Settings()
    delays = [
        retries.next_delay(
            attempt,
            max_attempts=12,
            backoff=defaults.RETRY_BACKOFF,
            jitter=defaults.RETRY_JITTER,
            uniform=lambda low, high: (low + high) / 2,
        )
        for attempt in range(12)
    ]

    # The middle of the jitter is 15 s; the last entry goes on; the last attempt has no next.
    seconds = [15, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200, 7200]
    assert delays == [*(dt.timedelta(seconds=s + 15) for s in seconds), None]


@pytest.mark.sqlite  # Pure arithmetic: restarting a worker of its own process adds nothing.
def test_a_failed_attempt_waits_that_long(live: Live) -> None:
    with worker_with(live, RETRY_BACKOFF=["15s"], RETRY_JITTER="30s"):
        run = live.start(failing)
        job = live.wait_until(
            lambda: run.jobs.filter(attempt=1).first(), what="job of the next attempt"
        )

    delay = job.available_at - run.attempts.get().ended_at
    assert dt.timedelta(seconds=15) <= delay <= dt.timedelta(seconds=46)
