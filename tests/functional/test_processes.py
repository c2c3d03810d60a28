"""Worker and beat really are processes of their own."""

from __future__ import annotations

import os

import pytest

from inngest_django import ContextSync, TriggerEvent
from inngest_django.models import Pulse
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.processes import ProcessStack

pytestmark = [pytest.mark.services, pytest.mark.smoke]


@client.create_function(fn_id="where", trigger=TriggerEvent(event=event_name("where")))
def where(ctx: ContextSync) -> int:
    def look() -> int:
        ledger.note(ctx.run_id, "body")
        return os.getpid()

    return ctx.step.run("look", look)


@client.create_function(fn_id="where-later", trigger=TriggerEvent(event=event_name("where-later")))
def where_later(ctx: ContextSync) -> str:
    # Longer than a worker remembers by itself what is due in a moment.
    ctx.step.sleep("rest", "3s")
    return "woken"


def test_worker_beat_and_tests_have_different_pids(live: Live) -> None:
    assert isinstance(live.stack, ProcessStack)
    worker, beat = live.stack.worker, live.stack.beat
    assert worker
    assert beat

    run = live.run(where)

    [note] = ledger.notes(run.id, "body")
    assert run.output == note.pid
    assert note.pid in worker.children()
    assert len({os.getpid(), worker.pid, beat.pid, note.pid}) == 4


def test_sleep_is_released_by_beat_and_not_without_it(live: Live) -> None:
    assert isinstance(live.stack, ProcessStack)
    live.stack.restart_worker(inngest={"WORKER_TICK": False})
    live.stack.stop_beat()
    before = Pulse.objects.values_list("ticked_at", flat=True).first()

    run = live.start(where_later)
    rest = live.step(run, "rest", status="waiting")
    # Another run begins and ends meanwhile, several times as long as the sleep.
    live.wait_until(lambda: live.run(where) and _is_overdue(rest.pk), 30)

    rest.refresh_from_db()
    assert rest.status == "waiting"
    assert Pulse.objects.values_list("ticked_at", flat=True).first() == before

    live.stack.start_beat()

    assert live.ended(run).output == "woken"


def _is_overdue(step_id: int) -> bool:
    from inngest_django import clock
    from inngest_django.models import Job

    due = Job.objects.get(step_id=step_id).available_at
    return (clock.now() - due).total_seconds() > 3
