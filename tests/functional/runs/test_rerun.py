"""Running a run again: a new run with the same event, from the beginning."""

from __future__ import annotations

import inngest_django as inngest
from inngest_django.engine import runs
from inngest_django.models import Run
from tests import ledger
from tests.functional.support import Live, client, event_name, unique


@client.create_function(
    fn_id="rerun", retries=0, trigger=inngest.TriggerEvent(event=event_name("rerun"))
)
def again(ctx: inngest.ContextSync) -> object:
    own = str(ctx.event.data["own"])
    ctx.step.run("one", lambda: ledger.note(own, "one", ctx.run_id))
    if ledger.count(own, "one") == 1:
        raise RuntimeError("only the first time")
    return ctx.event.id


def test_a_failed_run_is_run_again(live: Live) -> None:
    own = unique()
    # With an id of the sender's, which must not stop the rerun as a duplicate.
    failed = live.run(again, {"own": own}, id=own)
    assert failed.status == "failed"

    rerun = live.ended(Run.objects.get(pk=runs.rerun(failed.id)))

    assert rerun.status == "completed", rerun.error
    assert rerun.output == own
    assert rerun.id != failed.id
    assert rerun.original_run_id == failed.id
    assert rerun.event_id == failed.event_id
    assert [note.value for note in ledger.notes(own, "one")] == [failed.id, rerun.id]
    failed.refresh_from_db()
    assert failed.status == "failed"


def test_a_run_that_does_not_exist(live: Live) -> None:
    import pytest

    with pytest.raises(inngest.InngestError, match="No run has the id"):
        runs.rerun("nothing")
