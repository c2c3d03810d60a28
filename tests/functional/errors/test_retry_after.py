"""``RetryAfterError`` chooses the time of the next attempt, within 1 second and 24 hours."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live, client, event_name
from tests.functional.variants import both


def _after(data: Any) -> inngest.RetryAfterError:
    if "at" in data:
        return inngest.RetryAfterError("later", dt.datetime.fromisoformat(data["at"]))
    if data.get("as") == "timedelta":
        return inngest.RetryAfterError("later", dt.timedelta(milliseconds=data["ms"]))
    return inngest.RetryAfterError("later", data["ms"])


@client.create_function(
    fn_id="retry-after", trigger=inngest.TriggerEvent(event=event_name("retry-after"))
)
def retry_after(ctx: inngest.ContextSync) -> str:
    def body() -> str:
        ledger.note(ctx.run_id, "body", ctx.attempt)
        if ctx.attempt == 0:
            raise _after(ctx.event.data)
        return "done"

    return ctx.step.run("body", body)


@client.create_function(
    fn_id="retry-after-async", trigger=inngest.TriggerEvent(event=event_name("retry-after-async"))
)
async def retry_after_async(ctx: inngest.Context) -> str:
    ledger.note(ctx.run_id, "body", ctx.attempt)
    if ctx.attempt == 0:
        raise _after(ctx.event.data)
    return "done"


@both(retry_after, retry_after_async)
def test_zero_becomes_one_second(live: Live, function: inngest.Function) -> None:
    run = live.run(function, {"ms": 0})

    assert run.status == "completed", run.error
    assert run.output == "done"
    first, second = ledger.notes(run.id, "body")
    assert second.at - first.at >= 1


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param({"ms": 10 * 86_400_000}, dt.timedelta(days=1), id="ten days"),
        pytest.param({"ms": 3_600_000, "as": "timedelta"}, dt.timedelta(hours=1), id="timedelta"),
        pytest.param({"at": "2999-01-01T00:00:00+00:00"}, dt.timedelta(days=1), id="a date"),
    ],
)
@both(retry_after, retry_after_async)
def test_the_next_attempt_is_due_then(
    live: Live, function: inngest.Function, data: dict[str, Any], expected: dt.timedelta
) -> None:
    run = live.start(function, data)
    job = live.wait_until(
        lambda: run.jobs.filter(attempt=1).first(), what="job of the next attempt"
    )

    due_in = job.available_at - run.attempts.get().ended_at
    assert abs(due_in - expected) < dt.timedelta(seconds=10)
    assert run.attempts.get().error["name"] == "RetryAfterError"
