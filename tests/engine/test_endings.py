"""Expected ends: the entry that a task does besides the last step of a run."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from inngest_django.client import Inngest
from inngest_django.engine import endings, leases
from inngest_django.functions import registry
from inngest_django.functions.function import Function
from inngest_django.functions.triggers import TriggerEvent
from inngest_django.models import Attempt, Job, Run, Step
from tests.engine.support import Engine, assert_sound, steps_of

TRIGGER = TriggerEvent(event="test/started")

pytestmark = pytest.mark.postgres


@pytest.fixture
def worker(engine: Engine) -> Iterator[Engine]:
    """An engine that goes on as a worker's tasks do, and has seen nothing yet."""
    endings.forget()
    engine.goes_on = True
    yield engine
    endings.forget()


@pytest.fixture
def calls() -> list[str]:
    """The bodies and entries that were called."""
    return []


@pytest.fixture
def sequence(worker: Engine, client: Inngest, calls: list[str]) -> Function:
    """A function of as many steps as its event says."""

    @client.create_function(fn_id="f", trigger=TRIGGER, retries=1)
    def f(ctx: Any) -> Any:
        calls.append("entry")
        for number in range(ctx.event.data["steps"]):
            ctx.step.run(f"step-{number}", calls.append, f"body {number}")
        if ctx.event.data.get("fails"):
            raise ValueError("at the end")
        return ctx.event.data["steps"]

    registry.register(f)
    return f


def seen(worker: Engine, steps: int, *, times: int = 2) -> None:
    """Let runs of that many steps end."""
    for _ in range(times):
        worker.start("test/started", {"steps": steps})


def tasks_of(worker: Engine, data: dict[str, Any], *, most: int = 50) -> tuple[Run, int]:
    """Start a run, and return it with the number of tasks that it took after its routing."""
    event_id = worker.send("test/started", data)
    worker.step()
    for count in range(most):
        if not worker.jobs:
            return worker.run_of(event_id), count
        worker.step()
    raise AssertionError(f"still busy after {most} tasks")


@pytest.mark.usefixtures("sequence")
def test_a_run_that_ends_where_others_did_takes_a_task_less(
    worker: Engine, calls: list[str]
) -> None:
    _, first = tasks_of(worker, {"steps": 2})
    _, second = tasks_of(worker, {"steps": 2})
    calls.clear()
    run, third = tasks_of(worker, {"steps": 2})

    assert (first, second, third) == (3, 3, 2)
    assert calls == ["entry", "body 0", "entry", "body 1", "entry"]
    assert (run.status, run.output, run.revision) == ("completed", 2, 2)
    assert_sound(run)


@pytest.mark.usefixtures("sequence")
def test_a_run_that_goes_on_after_all_runs_one_body_per_task(
    worker: Engine, calls: list[str]
) -> None:
    """The step that was found is planned, and run by the next task."""
    seen(worker, 1)
    calls.clear()
    event_id = worker.send("test/started", {"steps": 3})
    worker.step()
    worker.step()
    run = worker.run_of(event_id)

    assert calls == ["entry", "body 0", "entry"]
    assert {name: step.status for name, step in steps_of(run).items()} == {
        "step-0": "completed",
        "step-1": "planned",
    }
    assert_sound(run)

    worker.idle()
    run.refresh_from_db()
    assert [call for call in calls if call != "entry"] == ["body 0", "body 1", "body 2"]
    assert calls.count("entry") == 5  # One more than without the guess.
    assert (run.status, run.output) == ("completed", 3)
    assert set(Step.objects.filter(run=run).values_list("attempt_count", flat=True)) == {1}
    assert_sound(run)


@pytest.mark.usefixtures("sequence")
def test_a_wrong_guess_is_not_made_again(worker: Engine) -> None:
    seen(worker, 1)
    tasks_of(worker, {"steps": 2})

    assert [tasks_of(worker, {"steps": 1})[1] for _ in range(3)] == [2, 2, 1]


def test_the_last_step_of_a_group_ends_its_run(worker: Engine, client: Inngest) -> None:
    @client.create_function(fn_id="f", trigger=TRIGGER)
    def f(ctx: Any) -> Any:
        return ctx.group.parallel(
            tuple(partial(ctx.step.run, f"s{number}", lambda n=number: n) for number in range(3))
        )

    registry.register(f)
    counts = [tasks_of(worker, {}) for _ in range(3)]

    assert [count for _, count in counts] == [5, 5, 4]
    for run, _ in counts:
        assert (run.status, run.output) == ("completed", [0, 1, 2])
        assert_sound(run)


@pytest.mark.usefixtures("sequence")
def test_a_failure_at_the_end_is_tried_again_by_itself(worker: Engine, calls: list[str]) -> None:
    seen(worker, 1)
    calls.clear()
    event_id = worker.send("test/started", {"steps": 1, "fails": True})
    worker.step()
    worker.step()
    run = worker.run_of(event_id)
    entry = Job.objects.get(run=run)

    assert calls == ["entry", "body 0", "entry"]
    assert (run.status, entry.kind, entry.attempt, entry.lease_token) == (
        "running",
        "enter",
        1,
        None,
    )
    assert Attempt.objects.get(run=run).step_id is None
    assert_sound(run)


@pytest.mark.usefixtures("sequence")
def test_a_worker_that_stops_leaves_the_end_to_another(
    worker: Engine, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen(worker, 1)
    calls.clear()
    event_id = worker.send("test/started", {"steps": 1})
    worker.step()
    monkeypatch.setattr(leases, "is_draining", lambda: True)
    worker.step()
    run = worker.run_of(event_id)

    assert calls == ["entry", "body 0"]
    assert [hint.job_id for hint in worker.jobs] == [Job.objects.get(run=run).pk]
    assert_sound(run)


def test_nothing_is_guessed_of_a_checkpointed_function(
    worker: Engine, client: Inngest, calls: list[str]
) -> None:
    """The entry after its group runs another step; a guess would only plan it."""

    @client.create_function(fn_id="f", trigger=TRIGGER, checkpointing=True)
    def f(ctx: Any) -> Any:
        calls.append("entry")
        ctx.group.parallel((partial(ctx.step.run, "a", int), partial(ctx.step.run, "b", int)))
        return ctx.step.run("c", int)

    registry.register(f)

    assert [tasks_of(worker, {})[1] for _ in range(4)] == [4, 4, 4, 4]
    assert calls == ["entry"] * 16


@pytest.mark.usefixtures("sequence")
def test_what_is_remembered_has_an_end(worker: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endings, "_MOST", 2)
    for steps in (3, 2, 1):  # A shorter one says nothing of the longer ones.
        worker.start("test/started", {"steps": steps})

    assert len(endings._seen) <= 2
