"""A join of a thousand branches that several workers share."""

from __future__ import annotations

import datetime as dt
import functools
import queue
import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from inngest_django import clock
from inngest_django.engine import executor, transactions
from inngest_django.errors import StepError
from inngest_django.models import Job, Run
from tests.concurrency.stage import TOGETHER, Stage
from tests.engine.support import Engine, assert_sound

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("way"), pytest.mark.timeout(240)]

WIDTH, WORKERS = 1000, 4
# The branch that fails for good, and those that fail once.
DOOMED, *FLAKY = random.Random(24).sample(range(WIDTH), 31)


class Branches:
    """What the bodies do, and how often they did it."""

    def __init__(self) -> None:
        self.calls: Counter[int] = Counter()
        self.joins: list[int] = []

    def body(self, number: int) -> int:
        self.calls[number] += 1
        if number == DOOMED or (number in FLAKY and self.calls[number] == 1):
            raise ValueError(number)
        return number

    def branch(self, ctx: Any, number: int) -> int:
        try:
            return int(ctx.step.run(f"branch {number}", self.body, number))
        except StepError:
            return -1


@pytest.mark.parametrize("way", [TOGETHER], indirect=True)
def test_a_thousand_branches_join_once(
    engine: Engine, stage: Stage, declare: Any, settings: Any
) -> None:
    """In any order, each hint twice; some bodies fail, and the last four end at once."""
    settings.INNGEST = {**settings.INNGEST, "MAX_STEPS": WIDTH + 1}
    branches = Branches()

    @declare(retries=1)
    def fan(ctx):
        found = ctx.group.parallel(
            tuple(lambda number=number: branches.branch(ctx, number) for number in range(WIDTH))
        )
        ctx.step.run("join", lambda: branches.joins.append(len(found)))
        return found

    event_id = engine.send("test/started")
    engine.step()
    engine.step()
    run = engine.run_of(event_id)
    hinted = [job_id for job_id in _jobs(run).values() for _ in range(2)]
    random.Random(24).shuffle(hinted)
    _share(stage, hinted)
    left = _jobs(run)
    assert set(left) == {DOOMED, *FLAKY}
    assert not Job.objects.filter(run=run, kind="enter").exists()

    clock.move(transactions.now() + dt.timedelta(minutes=2))
    last = [left.pop(number) for number in (DOOMED, *FLAKY[: WORKERS - 1])]
    _share(stage, left.values())
    stage.go_at_once("call.end", [functools.partial(executor.execute, job_id) for job_id in last])

    assert [job.kind for job in Job.objects.filter(run=run)] == ["enter"]
    engine.idle()
    run.refresh_from_db()
    assert run.output == [-1 if number == DOOMED else number for number in range(WIDTH)]
    assert branches.joins == [WIDTH]
    again = dict.fromkeys((DOOMED, *FLAKY), 2)
    assert branches.calls == {number: again.get(number, 1) for number in range(WIDTH)}
    assert_sound(run)


def _jobs(run: Run) -> dict[int, int]:
    found = Job.objects.filter(run=run, kind="step").select_related("step")
    return {int(job.step.name.removeprefix("branch ")): job.pk for job in found}


def _share(stage: Stage, job_ids: Iterable[int]) -> None:
    """Have several workers do them, a part at a time, so that no actor lasts too long."""
    left = list(job_ids)
    for begin in range(0, len(left), 200):
        _share_part(stage, left[begin : begin + 200])


def _share_part(stage: Stage, job_ids: list[int]) -> None:
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for job_id in job_ids:
        waiting.put(job_id)

    def work() -> None:
        while True:
            try:
                job_id = waiting.get_nowait()
            except queue.Empty:
                return
            executor.execute(job_id)

    for actor in [stage.actor(work).start() for _ in range(WORKERS)]:
        actor.done()
