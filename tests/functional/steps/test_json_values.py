"""What a body returns is seen as decoded JSON, at once and later."""

from __future__ import annotations

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import CHECKPOINTED, both


def _body() -> object:
    return ("tuple", {1: "int key", "z": 1, "a": 2}, [1.0, 2**60], "\u0000 \ud800", None)


SEEN = ["tuple", {"1": "int key", "z": 1, "a": 2}, [1.0, 2**60], "\u0000 \ud800", None]


@client.create_function(
    fn_id="json-values", retries=0, trigger=inngest.TriggerEvent(event=event_name("json-values"))
)
def json_values(ctx: inngest.ContextSync) -> object:
    value = ctx.step.run("value", _body)
    ledger.note(ctx.run_id, "seen", [value == SEEN, list(value[1])])  # type: ignore[index]
    ctx.step.run("later", lambda: None)
    return value


@client.create_function(
    fn_id="json-values-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("json-values-async")),
)
async def json_values_async(ctx: inngest.Context) -> object:
    value = await ctx.step.run("value", _body)
    ledger.note(ctx.run_id, "seen", [value == SEEN, list(value[1])])  # type: ignore[index]
    await ctx.step.run("later", lambda: None)
    return value


@both(json_values, json_values_async)
def test_values_are_the_same_on_each_entry(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed", run.error
    assert run.output == SEEN
    notes = [note.value for note in ledger.notes(run.id, "seen")]
    # Keys keep their order: a loop over them meets the same steps on each entry.
    assert notes == [[True, ["1", "z", "a"]]] * (1 if CHECKPOINTED else 2)


@client.create_function(
    fn_id="json-mutation",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("json-mutation")),
)
def mutating(ctx: inngest.ContextSync) -> object:
    value = ctx.step.run("value", lambda: [3, 1, 2])
    first = list(value)
    value.sort()
    value.append(4)
    ctx.step.run("later", lambda: None)
    return first


def test_changing_a_result_does_not_change_what_is_stored(live: Live) -> None:
    run = live.run(mutating)

    assert run.output == [3, 1, 2]
    assert run.steps.get(name="value").output == [3, 1, 2]
