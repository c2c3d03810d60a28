"""How step ids become stored ids: SHA-1, counted when repeated, never colliding."""

from __future__ import annotations

import hashlib

import inngest_django as inngest
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


@client.create_function(
    fn_id="step-ids", retries=0, trigger=inngest.TriggerEvent(event=event_name("step-ids"))
)
def step_ids(ctx: inngest.ContextSync) -> list[str]:
    ctx.step.run("my-step-id", lambda: "x")
    found = [ctx.step.run("loop", lambda n=n: f"loop {n}") for n in range(3)]
    ctx.step.sleep("loop", 0)
    found.append(ctx.step.run("", lambda: "empty"))
    return found


@client.create_function(
    fn_id="step-ids-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("step-ids-async")),
)
async def step_ids_async(ctx: inngest.Context) -> list[str]:
    await ctx.step.run("my-step-id", lambda: "x")
    found = [await ctx.step.run("loop", lambda n=n: f"loop {n}") for n in range(3)]
    await ctx.step.sleep("loop", 0)
    found.append(await ctx.step.run("", lambda: "empty"))
    return found


@both(step_ids, step_ids_async)
def test_repeated_ids_are_counted(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed", run.error
    assert run.output == ["loop 0", "loop 1", "loop 2", "empty"]
    stored = [(s.name, s.index, s.hashed_id, s.op) for s in run.steps.order_by("id")]
    assert stored == [
        ("my-step-id", 0, "e7d8a2f140845095749d60246ff1110c9d01d76a", "StepRun"),
        ("loop", 0, _sha1("loop"), "StepRun"),
        ("loop", 1, _sha1("loop:1"), "StepRun"),
        ("loop", 2, _sha1("loop:2"), "StepRun"),
        # All kinds of steps share one count.
        ("loop", 3, _sha1("loop:3"), "Sleep"),
        ("", 0, _sha1(""), "StepRun"),
    ]


@client.create_function(
    fn_id="step-ids-literal",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("step-ids-literal")),
)
def literal(ctx: inngest.ContextSync) -> list[str]:
    return [
        ctx.step.run("foo", lambda: "first foo"),
        ctx.step.run("foo", lambda: "second foo"),  # inngest: allow W010
        ctx.step.run("foo:1", lambda: "literal"),
    ]


@client.create_function(
    fn_id="step-ids-literal-first",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("step-ids-literal-first")),
)
def literal_first(ctx: inngest.ContextSync) -> list[str]:
    return [
        ctx.step.run("foo:1", lambda: "literal"),
        ctx.step.run("foo", lambda: "first foo"),
        ctx.step.run("foo", lambda: "second foo"),  # inngest: allow W010
    ]


def test_a_literal_id_does_not_collide_with_a_counted_one(live: Live) -> None:
    assert live.run(literal).output == ["first foo", "second foo", "literal"]
    assert live.run(literal_first).output == ["literal", "first foo", "second foo"]
