"""What a wait's condition may say: constants of the run's event, and missing values."""

from __future__ import annotations

from typing import Any

import pytest

import inngest_django as inngest
from tests.functional.support import Live, client, event_name, unique

NAME = "functional/conditions.answer"


@client.create_function(
    fn_id="conditions", retries=0, trigger=inngest.TriggerEvent(event=event_name("conditions"))
)
def waiting(ctx: inngest.ContextSync) -> object:
    data: Any = ctx.event.data
    found = ctx.step.wait_for_event(
        "wait",
        event=NAME,
        if_exp=f"async.data.own == event.data.own && ({data['if']})",
        timeout="1h",
    )
    return found and found.data["n"]


# The condition, what the run's event holds, an event that does not match, one that does.
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "equal": ("event.data.x == async.data.x", {"x": 1}, {"x": 2}, {"x": 1}),
    "numbers are not texts": ("event.data.x == async.data.x", {"x": 1}, {"x": "1"}, {"x": 1.0}),
    "missing in the run's event": ("event.data.x == async.data.x", {}, {"x": 1}, {}),
    "inequality": ("async.data.x > event.data.x", {"x": 5}, {"x": 5}, {"x": 6}),
    "or": (
        "async.data.x == 1 || async.data.y == event.data.x",
        {"x": "a"},
        {"x": 2, "y": "b"},
        {"y": "a"},
    ),
    "in": ("async.data.x in event.data.xs", {"xs": ["a", "b"]}, {"x": "c"}, {"x": "b"}),
    "not": ("async.data.x != event.data.x", {"x": 1}, {"x": 1}, {}),
    "function": ("async.data.x.startsWith(event.data.x)", {"x": "ab"}, {"x": "b"}, {"x": "abc"}),
    "an error is no match": ("async.data.x < 3", {}, {"x": "text"}, {"x": 2}),
    "name": ("async.name == 'functional/conditions.answer' && async.data.x == 1", {}, {}, {"x": 1}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_condition_decides(live: Live, case: str) -> None:
    expression, own_data, other, match = CASES[case]
    own = unique()
    run = live.start(waiting, {"own": own, "if": expression, **own_data})
    live.step(run, "wait", status="waiting")
    live.send(NAME, {"own": own, "n": "other", **other})
    live.send(NAME, {"own": own, "n": "match", **match})

    assert live.ended(run).output == "match"
