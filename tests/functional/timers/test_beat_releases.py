"""Beat releases due sleeps: with it they end, without it (and without workers' ticks) not."""

from __future__ import annotations

import datetime as dt
import time

import pytest

import inngest_django as inngest
from tests.functional.support import Live, client, event_name
from tests.processes import ProcessStack

pytestmark = [pytest.mark.services]


@client.create_function(
    fn_id="beat-releases",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("beat-releases")),
)
def sleeping(ctx: inngest.ContextSync) -> str:
    # Longer than what a worker hands to the broker with a delay.
    ctx.step.sleep("zzz", "3s")
    return "woken"


def _stack(live: Live) -> ProcessStack:
    assert isinstance(live.stack, ProcessStack)
    return live.stack


def test_nothing_wakes_without_beat_and_everything_with_it(live: Live) -> None:
    stack = _stack(live)
    stack.stop_beat()
    stack.restart_worker(inngest={"WORKER_TICK": False})
    run = live.start(sleeping)
    step = live.step(run, "zzz", status="waiting")
    due = dt.datetime.fromisoformat(step.input["until"])
    # The time itself is what is looked at: it comes, and three more ticks, and nothing happens.
    while dt.datetime.now(dt.UTC) < due + dt.timedelta(seconds=3):
        time.sleep(0.2)
    step.refresh_from_db()
    assert step.status == "waiting"

    stack.start_beat()
    run = live.ended(run)
    assert run.output == "woken"


def test_a_worker_ticks_when_beat_does_not(live: Live) -> None:
    _stack(live).stop_beat()
    run = live.run(sleeping)

    assert run.output == "woken"


def test_beat_and_worker_are_processes_of_their_own(live: Live) -> None:
    import os

    stack = _stack(live)
    assert stack.worker is not None
    assert stack.beat is not None
    pids = {os.getpid(), stack.worker.pid, stack.beat.pid}
    assert len(pids) == 3
    assert stack.worker.children()
