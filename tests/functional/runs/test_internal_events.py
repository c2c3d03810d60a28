"""A project's own functions can listen to the end of runs."""

from __future__ import annotations

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name


@client.create_function(
    fn_id="internal-events",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("internal-events")),
)
def watched(ctx: inngest.ContextSync) -> object:
    if ctx.event.data.get("fail"):
        raise RuntimeError("as asked")
    return {"done": True}


@client.create_function(
    fn_id="internal-events-watcher",
    retries=0,
    trigger=inngest.TriggerEvent(
        event="inngest/function.finished",
        expression="event.data.function_id == 'functional-internal-events'",
    ),
)
def watcher(ctx: inngest.ContextSync) -> None:
    data = ctx.event.data
    ledger.note(
        str(data["run_id"]),
        "finished",
        [data["_inngest"], data.get("result"), (data.get("error") or {}).get("message")],  # type: ignore[attr-defined, union-attr]
    )


def test_success_and_failure_are_announced(live: Live) -> None:
    good = live.run(watched)
    bad = live.run(watched, {"fail": True})
    for run in (good, bad):
        live.wait_until(lambda r=run: ledger.count(r.id, "finished"), what="the announcement")

    assert [n.value for n in ledger.notes(good.id)] == [
        [{"status": "Completed"}, {"done": True}, None]
    ]
    assert [n.value for n in ledger.notes(bad.id)] == [[{"status": "Failed"}, None, "as asked"]]
