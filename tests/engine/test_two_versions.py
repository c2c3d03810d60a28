"""Two releases at once: workers of either take turns at a run, and it ends whole.

A deploy does not stop the world: for a while some workers have the new code and some the old,
some may not know the function at all, and a rollback turns the order round.
"""

from __future__ import annotations

import collections
import datetime as dt
import random
from typing import Any

import pytest

from inngest_django import Function
from inngest_django.client import Inngest
from inngest_django.engine import executor
from inngest_django.functions import registry
from inngest_django.models import Job, Run
from tests.engine.support import Engine, assert_sound
from tests.engine.test_protocol import TRIGGER

# By change: the steps of both releases; a list inside is a parallel group, "zzz" sleeps.
CHANGES: dict[str, tuple[list[Any], list[Any]]] = {
    "added": (["a", "zzz", "c"], ["a", "new", "zzz", "c", "last"]),
    "removed": (["a", "b", "zzz", "c"], ["a", "zzz"]),
    "renamed": (["a", "b", "zzz", "c"], ["a", "b2", "zzz", "c"]),
    "branch added": (["a", ["p", "q"], "c"], ["a", ["p", "new", "q"], "c"]),
    "branch removed": (["a", ["p", "q", "r"], "c"], ["a", ["p", "r"], "c"]),
    "group begun": (["a", "p", "q", "c"], ["a", ["p", "q"], "c"]),
}


class Releases:
    """The function of both releases, and what their bodies did."""

    def __init__(self, client: Inngest, change: str) -> None:
        self.calls: collections.Counter[str] = collections.Counter()
        old, new = CHANGES[change]
        self.plans = {1: old, 2: new}
        self.functions = {number: self._make(client, number) for number in self.plans}

    def _make(self, client: Inngest, number: int) -> Function:
        def handler(ctx: Any) -> Any:
            found = []
            for item in self.plans[number]:
                if item == "zzz":
                    ctx.step.sleep("zzz", "1h")
                elif isinstance(item, list):
                    branches = tuple(lambda n=n: self._step(ctx, n) for n in item)
                    found.extend(ctx.group.parallel(branches))
                else:
                    found.append(self._step(ctx, item))
            return found

        return client.create_function(fn_id="changing", retries=0, trigger=TRIGGER)(handler)

    def _step(self, ctx: Any, name: str) -> Any:
        def body() -> str:
            self.calls[name] += 1
            return name

        return ctx.step.run(name, body)

    def names(self, number: int) -> list[str]:
        """The results of a run that only that release played."""
        flat = [
            n for item in self.plans[number] for n in (item if isinstance(item, list) else [item])
        ]
        return [name for name in flat if name != "zzz"]


@pytest.mark.parametrize("last", [2, 1], ids=["deploy", "rollback"])
@pytest.mark.parametrize("change", CHANGES)
def test_workers_of_two_releases_take_turns(
    engine: Engine, client: Inngest, change: str, last: int
) -> None:
    """And workers that do not know the function; in the end all have the same release."""
    for seed in range(6):
        rng = random.Random(f"{change} {last} {seed}")
        releases = Releases(client, change)
        with registry.only([releases.functions[1]]):
            event_id = engine.send("test/started")
            engine.step()
        run = engine.run_of(event_id)
        for _ in range(rng.randint(3, 14)):
            known = rng.choice([[releases.functions[1]], [releases.functions[2]], []])
            with registry.only(known):
                if not engine.step():
                    engine.advance(rng.choice([dt.timedelta(seconds=10), dt.timedelta(hours=1)]))
            assert_sound(run)
        with registry.only([releases.functions[last]]):
            engine.lose_hints()
            for _ in range(8):
                engine.advance(dt.timedelta(minutes=30))
        run.refresh_from_db()
        assert_sound(run)
        if run.status == "failed":
            # As the SDK has it: a worker that was to run a branch which its code does not have
            # met the step behind the group first. The run ends, and says so.
            assert change.startswith("branch"), (seed, run.error)
            assert run.error["code"] == "step_unexpected"
            assert set(releases.calls.values()) <= {1}
            continue
        assert run.status == "completed", (seed, run.status)
        # What either release did is done once; a step of both is not done again by the other.
        assert set(releases.calls.values()) <= {1}, (seed, releases.calls)
        assert run.output in (releases.names(1), releases.names(2))


def test_removed_function_pauses_with_a_reason_and_goes_on_after_the_rollback(
    engine: Engine, client: Inngest
) -> None:
    releases = Releases(client, "added")
    with registry.only([releases.functions[1]]):
        run = engine.start("test/started")
    for _ in range(3):
        engine.advance(dt.timedelta(hours=1))
    run.refresh_from_db()
    job = Job.objects.get(run=run)
    assert (run.status, job.attempt, job.loss_count) == ("running", 0, 0)
    assert job.note == "waits for a worker that knows function test-changing"

    with registry.only([releases.functions[1]]):
        engine.advance(dt.timedelta(minutes=1))

    run.refresh_from_db()
    assert (run.status, run.output) == ("completed", ["a", "c"])


def test_job_of_a_step_that_the_other_release_does_not_have_is_not_run_by_it(
    engine: Engine, client: Inngest
) -> None:
    releases = Releases(client, "branch added")
    with registry.only([releases.functions[2]]):
        event_id = engine.send("test/started")
        for _ in range(3):
            engine.step()
    run = engine.run_of(event_id)
    new_id = Job.objects.get(run=run, step__name="new").pk

    with registry.only([releases.functions[1]]):
        executor.execute(new_id)
        engine.idle()

    run.refresh_from_db()
    assert (run.status, run.output) == ("completed", ["a", "p", "q", "c"])
    assert releases.calls["new"] == 0
    assert list(run.steps.filter(name="new").values_list("status", flat=True)) == ["cancelled"]
    assert Run.objects.count() == 1
