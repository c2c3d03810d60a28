"""A step that waits for its next attempt goes away from the code: the run goes on without it."""

from __future__ import annotations

from typing import Any

import inngest_django as inngest
from inngest_django.clock import now
from inngest_django.engine import hints
from inngest_django.engine.hints import JobHint
from tests import ledger
from tests.functional.deploying import RELEASE, deployed
from tests.functional.support import Live, client, event_name


def _declare(release: int) -> inngest.Function:
    @client.create_function(
        fn_id="pending-step-removed",
        trigger=inngest.TriggerEvent(event=event_name("pending-step-removed")),
    )
    def handler(ctx: inngest.ContextSync) -> Any:
        found = [ctx.step.run("first", lambda: ledger.note(ctx.run_id, "first"))]
        name = "flaky" if release == 1 or ctx.event.data["renamed"] is None else "renamed"
        if release == 1 or ctx.event.data["renamed"] is not None:
            found.append(ctx.step.run(name, _flaky, ctx.run_id, release))
        found.append(ctx.step.run("last", lambda: release))
        return found

    return handler


def _flaky(run_id: str, release: int) -> str:
    ledger.note(run_id, f"flaky of {release}")
    if release == 1:
        raise inngest.RetryAfterError("a day later", 86_400_000)
    return "fine now"


current = _declare(RELEASE)


def test_removed_and_renamed(live: Live) -> None:
    removed = live.start(current, {"renamed": None})
    renamed = live.start(current, {"renamed": "renamed"})
    for run in (removed, renamed):
        live.wait_until(lambda r=run: r.attempts.exists(), what="the failed attempt")
    with deployed(live.stack, [_declare(2)]):
        for run in (removed, renamed):
            # As if the day had passed.
            job = run.jobs.get()
            run.jobs.filter(pk=job.pk).update(available_at=now(), next_hint_at=now())
            hints.execute([JobHint(job.pk, job.function_id)])
        removed, renamed = live.ended(removed), live.ended(renamed)

    assert removed.status == "completed", removed.error
    assert removed.output == [None, 2]
    assert renamed.status == "completed", renamed.error
    assert renamed.output == [None, "fine now", 2]
    for run in (removed, renamed):
        assert ledger.count(run.id, "first") == 1
        assert ledger.count(run.id, "flaky of 1") == 1
        assert not run.steps.filter(name="flaky", status__in=["planned", "running"]).exists()
