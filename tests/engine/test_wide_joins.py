"""A join of very many branches happens once, whatever its branches go through."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pytest

from inngest_django.client import Inngest
from inngest_django.engine import executor
from inngest_django.errors import StepError
from inngest_django.models import Attempt, Job, Step
from tests.engine.support import Engine, assert_sound
from tests.engine.test_protocol import declare

FLAKY, DOOMED = 1, 2  # The branches that fail once, and for good.


@pytest.mark.timeout(120)
@pytest.mark.parametrize("width", [60, pytest.param(1000, marks=pytest.mark.sqlite)])
def test_join_happens_once(engine: Engine, client: Inngest, settings: Any, width: int) -> None:
    """Branches come in any order, each hint twice; one is tried again, one fails."""
    settings.INNGEST = {**settings.INNGEST, "MAX_STEPS": width + 1}
    calls: dict[int, int] = dict.fromkeys(range(width), 0)
    joins: list[int] = []

    @declare(client, retries=1)
    def fan(ctx: Any) -> Any:
        def body(n: int) -> int:
            calls[n] += 1
            if n == DOOMED or (n == FLAKY and calls[n] == 1):
                raise ValueError(n)
            return n

        def branch(n: int) -> Any:
            try:
                return ctx.step.run(f"b{n}", body, n)
            except StepError:
                return "failed"

        found = ctx.group.parallel(tuple(lambda n=n: branch(n) for n in range(width)))
        ctx.step.run("join", lambda: joins.append(len(found)))
        return [n for n, one in enumerate(found) if one != n]

    event_id = engine.send("test/started")
    engine.step()
    engine.step()
    run = engine.run_of(event_id)
    hinted = [hint for hint in engine.jobs for _ in range(2)]
    random.Random(24).shuffle(hinted)
    assert len(hinted) == 2 * width
    engine.jobs.clear()
    for hint in hinted:
        executor.execute(hint.job_id)
        # The last two wait for their second tries: nothing enters before they are through.
        assert not joins
    assert {job.step.name for job in Job.objects.filter(run=run, kind="step")} == {
        f"b{FLAKY}",
        f"b{DOOMED}",
    }
    assert_sound(run)

    for _ in range(3):
        engine.advance(dt.timedelta(minutes=2))

    run.refresh_from_db()
    assert (run.status, run.output) == ("completed", [DOOMED])
    assert joins == [width]
    assert {n: count for n, count in calls.items() if count != 1} == {FLAKY: 2, DOOMED: 2}
    assert Attempt.objects.filter(run=run).count() == 3
    assert Step.objects.filter(run=run).count() == width + 1
    assert_sound(run)
