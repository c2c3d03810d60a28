"""The failure handler starts once a run, and only when the run has failed for good."""

from __future__ import annotations

import inngest_django as inngest
from inngest_django.engine import hints, ingest, transactions
from inngest_django.models import Event, Run
from tests import ledger
from tests.functional.support import Live, client, event_name


def handler(ctx: inngest.ContextSync) -> None:
    ctx.step.run("note", lambda: ledger.note(str(ctx.event.data["run_id"]), "handled"))


@client.create_function(
    fn_id="failure-once",
    on_failure=handler,
    retries=2,
    trigger=inngest.TriggerEvent(event=event_name("failure-once")),
)
def failing(ctx: inngest.ContextSync) -> None:
    ledger.note(ctx.run_id, "attempt", ctx.attempt)
    if ctx.event.data.get("recover") and ctx.attempt == 1:
        return
    raise RuntimeError("again")


def failing_handler(ctx: inngest.ContextSync) -> None:
    ledger.note(str(ctx.event.data["run_id"]), "handled")
    raise RuntimeError("the handler, too")


@client.create_function(
    fn_id="failure-of-handler",
    on_failure=failing_handler,
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("failure-of-handler")),
)
def failing_twice(ctx: inngest.ContextSync) -> None:
    raise RuntimeError("first")


def _handlers(run: Run) -> list[Run]:
    return list(Run.objects.filter(event__name=ingest.FAILED, event__external_id=run.id))


def _routed(event_id: str) -> bool:
    return Event.objects.filter(pk=event_id, routed_at__isnull=False).exists()


def test_after_all_retries_and_once_though_announced_twice(live: Live) -> None:
    run = live.run(failing)
    [first] = live.wait_until(lambda: _handlers(run), what="the handler's run")
    assert live.ended(first).status == "completed", first.error
    with transactions.write():
        again = ingest.emit_internal(ingest.FAILED, first.event.data, external_id=run.id)
    hints.route()
    live.wait_until(lambda: _routed(again.id), what="routing of the repeated announcement")

    assert [note.value for note in ledger.notes(run.id, "attempt")] == [0, 1, 2]
    assert ledger.count(run.id, "handled") == 1
    assert len(_handlers(run)) == 1


def test_not_when_a_retry_succeeds(live: Live) -> None:
    run = live.run(failing, {"recover": True})
    finished = live.wait_until(
        lambda: Event.objects.filter(
            name=ingest.FINISHED, data__contains=f'"run_id":"{run.id}"'
        ).first()
    )
    live.wait_until(lambda: _routed(finished.id))

    assert run.status == "completed"
    assert finished.data["_inngest"] == {"status": "Completed"}
    assert _handlers(run) == []


def test_a_failing_handler_is_not_handled_again(live: Live) -> None:
    run = live.run(failing_twice)
    [first] = live.wait_until(lambda: _handlers(run), what="the handler's run")
    first = live.ended(first)

    assert first.status == "failed"
    # Retries of a handler: none. Nothing is announced about it either.
    assert ledger.count(run.id, "handled") == 1
    assert not Event.objects.filter(data__contains=f'"run_id":"{first.id}"').exists()
