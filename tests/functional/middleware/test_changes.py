"""What middleware may change: the event, stored results, what is stored, what is sent."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from inngest_django.models import Event
from tests.functional.support import Live, client, event_name, unique
from tests.functional.variants import both


class _Wrapping(inngest.MiddlewareSync):
    """Stores every step's output in an envelope and takes it out again, as encryption does."""

    def transform_input(self, ctx: Any, function: Any, steps: inngest.StepMemos) -> None:
        ctx.event.data = {**ctx.event.data, "added": True}
        for memo in steps.values():
            if isinstance(memo.data, dict) and "sealed" in memo.data:
                memo.data = memo.data["sealed"]

    def transform_output(self, result: inngest.TransformOutputResult) -> None:
        if result.step is not None and result.has_output() and result.output is not None:
            result.output = {"sealed": result.output}

    def before_send_events(self, events: list[inngest.Event]) -> None:
        for event in events:
            event.data = {**event.data, "stamped": True}


@client.create_function(
    fn_id="middleware-changes",
    middleware=[_Wrapping],
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("middleware-changes")),
)
def changed(ctx: inngest.ContextSync) -> Any:
    secret = ctx.step.run("secret", lambda: "plain text")
    together = ctx.group.parallel(
        (lambda: ctx.step.run("a", lambda: 1), lambda: ctx.step.run("b", lambda: 2))
    )
    ids = ctx.step.send_event("send", inngest.Event(name="functional/nobody"))
    return [secret, together, ids, ctx.event.data["added"]]


@client.create_function(
    fn_id="middleware-changes-async",
    middleware=[_Wrapping],
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("middleware-changes-async")),
)
async def changed_async(ctx: inngest.Context) -> Any:
    secret = await ctx.step.run("secret", lambda: "plain text")
    together = await ctx.group.parallel(
        (lambda: ctx.step.run("a", lambda: 1), lambda: ctx.step.run("b", lambda: 2))
    )
    ids = await ctx.step.send_event("send", inngest.Event(name="functional/nobody"))
    return [secret, together, ids, ctx.event.data["added"]]


@both(changed, changed_async)
def test_changes_take_effect(live: Live, function: inngest.Function) -> None:
    run = live.run(function, {"own": unique()})

    assert run.status == "completed", run.error
    secret, together, ids, added = run.output
    assert (secret, together, added) == ("plain text", [1, 2], True)
    assert run.steps.get(name="secret").output == {"sealed": "plain text"}
    assert run.steps.get(name="a").output == {"sealed": 1}
    assert Event.objects.get(pk=ids[0]).data == {"stamped": True}
    # The stored event is what was sent.
    assert "added" not in run.event.data
