"""Groups of unusual shapes: empty, without steps, nested, and retried branches."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


def _retried(ctx: Any) -> Any:
    def body() -> int:
        ledger.note(ctx.run_id, "retried", ctx.attempt)
        if ctx.attempt < 2:
            raise ValueError("again")
        return int(ctx.attempt)

    return body


@client.create_function(
    fn_id="group-shapes",
    trigger=inngest.TriggerEvent(event=event_name("group-shapes")),
)
def shapes(ctx: inngest.ContextSync) -> Any:
    empty = ctx.group.parallel(())
    plain = ctx.group.parallel((lambda: 1, lambda: 2))
    nested = ctx.group.parallel(
        (
            lambda: ctx.group.parallel(
                (
                    lambda: ctx.step.run("inner-a", lambda: "a"),
                    lambda: ctx.step.run("inner-b", lambda: "b"),
                )
            ),
            lambda: ctx.step.run("outer", lambda: "c"),
        )  # type: ignore[arg-type]
    )
    retried = ctx.group.parallel(
        (
            lambda: ctx.step.run("retried", _retried(ctx)),
            lambda: ctx.step.run("once", lambda: ledger.note(ctx.run_id, "once")),
        )
    )
    return [empty, plain, nested, retried]


@client.create_function(
    fn_id="group-shapes-async",
    trigger=inngest.TriggerEvent(event=event_name("group-shapes-async")),
)
async def shapes_async(ctx: inngest.Context) -> Any:
    async def value(n: int) -> int:
        return n

    empty = await ctx.group.parallel(())
    plain = await ctx.group.parallel((lambda: value(1), lambda: value(2)))
    nested: Any = await ctx.group.parallel(
        (
            lambda: ctx.group.parallel(
                (
                    lambda: ctx.step.run("inner-a", lambda: "a"),
                    lambda: ctx.step.run("inner-b", lambda: "b"),
                )
            ),
            lambda: ctx.step.run("outer", lambda: "c"),
        )  # type: ignore[arg-type]
    )
    retried: Any = await ctx.group.parallel(
        (
            lambda: ctx.step.run("retried", _retried(ctx)),
            lambda: ctx.step.run("once", lambda: ledger.note(ctx.run_id, "once")),
        )
    )
    return [empty, plain, nested, retried]


@both(shapes, shapes_async)
def test_results_keep_their_places(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed", run.error
    assert run.output == [[], [1, 2], [["a", "b"], "c"], [2, None]]
    assert [note.value for note in ledger.notes(run.id, "retried")] == [0, 1, 2]
    assert ledger.count(run.id, "once") == 1
