"""``on_failure`` runs once, as a run of its own, when a run has failed."""

from __future__ import annotations

from typing import Any

import pytest

import inngest_django as inngest
from inngest_django.models import Run
from tests import ledger
from tests.functional.support import Live, client, event_name, unique
from tests.functional.variants import both

pytestmark = [pytest.mark.smoke]


class MyError(Exception):
    pass


def _note(ctx: Any) -> None:
    event = ctx.event
    ledger.note(
        ctx.event.data["run_id"],
        "on_failure",
        {
            "attempt": ctx.attempt,
            "count": len(ctx.events),
            "name": event.name,
            "data": dict(event.data),
            "run_id": ctx.run_id,
        },
    )


def report(ctx: inngest.ContextSync) -> None:
    _note(ctx)


async def report_async(ctx: inngest.Context) -> None:
    _note(ctx)


@client.create_function(
    fn_id="on-failure",
    on_failure=report,
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("on-failure")),
)
def failing(ctx: inngest.ContextSync) -> None:
    raise MyError("intentional failure")


@client.create_function(
    fn_id="on-failure-async",
    on_failure=report_async,
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("on-failure-async")),
)
async def failing_async(ctx: inngest.Context) -> None:
    raise MyError("intentional failure")


@both(failing, failing_async)
def test_the_error_is_recorded_and_the_handler_runs(live: Live, function: inngest.Function) -> None:
    run = live.run(function, {"own": unique()})

    assert run.status == "failed"
    assert run.output is None
    error = run.error
    assert {key: error[key] for key in ("code", "name", "message")} == {
        "code": "unknown",
        "name": "MyError",
        "message": "intentional failure",
    }
    assert error["stack"].startswith("Traceback (most recent call last):")
    assert "test_on_failure.py" in error["stack"]
    assert "inngest_django/" not in error["stack"]

    handler = live.wait_until(
        lambda: Run.objects.filter(
            function_id=function.on_failure_fn_id, event__external_id=run.id
        ).first(),
        what="run of the failure handler",
    )
    handler = live.ended(handler)
    assert handler.status == "completed", handler.error
    [note] = ledger.notes(run.id, "on_failure")
    seen: Any = note.value
    assert seen["attempt"] == 0
    assert seen["count"] == 1
    assert seen["name"] == "inngest/function.failed"
    assert seen["run_id"] == handler.id != run.id
    data = seen["data"]
    assert data["function_id"] == function.id
    assert data["run_id"] == run.id
    assert data["_inngest"] == {"status": "Failed"}
    assert data["error"] == {
        "error": "invalid status code: 500",
        "message": "intentional failure",
        "name": "MyError",
        "stack": error["stack"],
    }
    original = inngest.Event.from_raw(data["event"])
    assert isinstance(original, inngest.Event)
    assert (original.id, original.name) == (run.event_id, run.event.name)
    assert (original.data, original.ts) == (run.event.data, run.event.ts)
    assert data["events"] == [data["event"]]
