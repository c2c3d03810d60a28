"""A run's own event never resolves its waits, whatever the names."""

from __future__ import annotations

import pytest

import inngest_django as inngest
from tests.functional.support import Live, client, event_name, unique

NAME = event_name("own-event")


@client.create_function(fn_id="own-event", retries=0, trigger=inngest.TriggerEvent(event=NAME))
def waiting(ctx: inngest.ContextSync) -> object:
    if not ctx.event.data.get("first"):
        return "second"
    found = ctx.step.wait_for_event(
        "wait",
        event=NAME,
        if_exp="event.data.own == async.data.own",
        timeout="1h",
        lookback=ctx.event.data["lookback"],  # type: ignore[arg-type]
    )
    return found and found.data["n"]


@pytest.mark.parametrize("lookback", [None, "run", "10m"])
def test_only_another_event_counts(live: Live, lookback: str | None) -> None:
    own = unique()
    run = live.start(waiting, {"own": own, "first": True, "n": 1, "lookback": lookback})
    live.step(run, "wait", status="waiting")
    live.send(NAME, {"own": own, "n": 2})

    assert live.ended(run).output == 2
