"""No message is lost in ordinary work: runs end without any tick that would repair a loss."""

from __future__ import annotations

from typing import Any

import pytest

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.processes import ProcessStack

pytestmark = [pytest.mark.services]

RUNS = 12


@client.create_function(fn_id="hints-alone-child", retries=0, trigger=[])
def child(ctx: inngest.ContextSync) -> str:
    return ctx.step.run("inside", lambda: "child")


@client.create_function(
    fn_id="hints-alone", retries=1, trigger=inngest.TriggerEvent(event=event_name("hints-alone"))
)
def busy(ctx: inngest.ContextSync) -> Any:
    def body() -> int:
        ledger.note(ctx.run_id, "body")
        if ctx.attempt == 0:
            raise ValueError("the first attempt")
        return 1

    first = ctx.step.run("first", body)
    together = ctx.group.parallel(
        tuple(lambda n=n: ctx.step.run(f"branch-{n}", lambda: n) for n in range(3))
    )
    ctx.step.sleep("moment", 300)
    found = ctx.step.wait_for_event("none", event="functional/never-sent", timeout="500ms")
    return [first, together, found, ctx.step.invoke("child", function=child)]


def test_everything_moves_by_hints(live: Live) -> None:
    assert isinstance(live.stack, ProcessStack)
    live.stack.stop_beat()
    live.stack.restart_worker(inngest={"WORKER_TICK": False})
    runs = [live.start(busy) for _ in range(RUNS)]

    for run in runs:
        assert live.ended(run, timeout=30).output == [1, [0, 1, 2], None, "child"]
        assert ledger.count(run.id, "body") == 2
