"""Match, time-out and cancel want the same wait: whoever comes first, there is one winner."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from inngest_django import clock
from inngest_django.engine import cancellation, executor, routing, transactions
from inngest_django.models import Job, Run, Wait, WaitKey
from tests.concurrency.stage import Actor, Stage
from tests.engine.support import Engine, assert_sound

pytestmark = pytest.mark.postgres

CONTENDERS = ("match", "time-out", "cancel")
# What each leaves of the wait: (status of the step, of the wait).
ENDS = {
    "match": ("completed", "matched"),
    "time-out": ("timed_out", "timed_out"),
    "cancel": ("cancelled", "cancelled"),
}


@pytest.fixture
def contest(
    engine: Engine, stage: Stage, declare: Any
) -> Callable[..., tuple[Run, dict[str, Callable[[], Actor]], Actor]]:
    """Return a waiting run, what wants its end, and who holds its lock meanwhile."""

    @declare()
    def waiter(ctx):
        event = ctx.step.wait_for_event("answer", event="test/go", timeout="1h")
        return event is not None

    def begin(*, is_late: bool) -> tuple[Run, dict[str, Callable[[], Actor]], Actor]:
        run = engine.start("test/started")
        wait_id = Job.objects.get(run=run).pk
        over = transactions.now() + dt.timedelta(hours=2)
        if is_late:
            clock.move(over)
        engine.send("test/go")
        engine.wants_routing = False
        clock.move(over)

        def hold() -> None:
            with transactions.write() as cursor:
                cursor.execute(
                    "SELECT 1 FROM inngest_run WHERE id = %s FOR NO KEY UPDATE", (run.pk,)
                )
                cursor.execute("SELECT 'held'")

        works: dict[str, Callable[[], object]] = {
            "match": routing.route,
            "time-out": lambda: executor.execute(wait_id),
            "cancel": lambda: cancellation.cancel(run.pk),
        }
        holder = stage.actor(hold, "holder").stop_before("'held'").start().paused()
        actors = {name: lambda n=name: stage.actor(works[n], n).start() for name in works}
        return run, actors, holder

    return begin


def settle(engine: Engine, run: Run) -> tuple[str, str]:
    """Let all that follows happen; returns how the wait ended."""
    engine.idle()
    run.refresh_from_db()
    # Its turn comes before the next entry, so the run never ends otherwise.
    assert run.status == "cancelled"
    assert_sound(run)
    assert not WaitKey.objects.exists()
    return run.steps.get().status, Wait.objects.get(run=run).status


@pytest.mark.parametrize("order", list(itertools.permutations(CONTENDERS)), ids=", ".join)
def test_event_in_time_match_time_out_and_cancel_leave_one_winner(
    engine: Engine,
    contest: Callable[..., tuple[Run, dict[str, Callable[[], Actor]], Actor]],
    order: tuple[str, ...],
) -> None:
    """All three stand at the run's lock, in each order, when it is let go."""
    run, actors, holder = contest(is_late=False)
    waiting = [actors[name]().blocked() for name in order]
    holder.go().done()
    for actor in waiting:
        actor.done()

    # The event was received in time: the time-out's own scan finds it too.
    winner = "cancel" if order[0] == "cancel" else "match"
    assert settle(engine, run) == ENDS[winner]


@pytest.mark.parametrize("order", list(itertools.permutations(CONTENDERS[1:])), ids=", ".join)
def test_event_too_late_time_out_and_cancel_leave_one_winner(
    engine: Engine,
    contest: Callable[..., tuple[Run, dict[str, Callable[[], Actor]], Actor]],
    order: tuple[str, ...],
) -> None:
    run, actors, holder = contest(is_late=True)
    late = actors["match"]()
    late.done()
    waiting = [actors[name]().blocked() for name in order]
    holder.go().done()
    for actor in waiting:
        actor.done()

    assert settle(engine, run) == ENDS[order[0]]


@pytest.mark.parametrize("first", ["outcome", "cancel"])
def test_cancel_and_the_last_outcome_leave_one_end(
    engine: Engine, stage: Stage, declare: Any, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    @declare()
    def one(ctx):
        return ctx.step.run("body", lambda: "done")

    event_id = engine.send("test/started")
    engine.step()
    engine.step()
    run = engine.run_of(event_id)
    job_id = Job.objects.get(run=run).pk

    results = _release_in_order(
        stage,
        run,
        {
            "outcome": lambda: executor.execute(job_id),
            "cancel": lambda: cancellation.cancel(run.pk),
        },
        first=first,
    )
    engine.idle()

    run.refresh_from_db()
    assert run.status == {"outcome": "completed", "cancel": "cancelled"}[first]
    assert results["cancel"] is (first == "cancel")
    assert_sound(run)


@pytest.mark.parametrize("first", ["outcome", "cancel"])
@pytest.mark.parametrize("what", ["retry", "child", "plan"])
def test_cancel_and_what_a_run_begins_leave_one_end(
    engine: Engine, stage: Stage, declare: Any, what: str, first: str
) -> None:
    """A cancel meets a body that is to be tried again, an invoke, or a group being planned."""
    bodies: list[str] = []

    def begin_something(ctx: Any, child: Any) -> Any:
        def fails() -> None:
            bodies.append("fails")
            raise ValueError("once more")

        if what == "retry":
            return ctx.step.run("fails", fails)
        if what == "child":
            return ctx.step.invoke("call", function=child)
        branches = tuple(lambda n=n: ctx.step.run(n, bodies.append, n) for n in ("left", "right"))
        return ctx.group.parallel(branches)

    @declare(trigger=[])
    def child(ctx):
        return ctx.step.run("in the child", lambda: "child is done")

    @declare(retries=3)
    def parent(ctx):
        ctx.step.run("before", lambda: None)
        return begin_something(ctx, child)

    event_id = engine.send("test/started")
    engine.step()
    engine.step()
    run = engine.run_of(event_id)
    enter_id = Job.objects.get(run=run).pk
    results = _release_in_order(
        stage,
        run,
        {
            "outcome": lambda: executor.execute(enter_id),
            "cancel": lambda: cancellation.cancel(run.pk),
        },
        first=first,
    )
    engine.lose_hints()
    for _ in range(6):
        engine.advance(dt.timedelta(minutes=5))

    run.refresh_from_db()
    assert (run.status, results["cancel"]) == ("cancelled", True)
    assert_sound(run)
    # What began before the cancel is closed with the run, and is not begun again.
    begun = set(run.steps.exclude(name="before").values_list("name", "status"))
    steps = {"retry": {"fails"}, "child": {"call"}, "plan": {"left", "right"}}[what]
    assert begun == {(name, "cancelled") for name in steps if first == "outcome"}
    assert bodies == (["fails"] if what == "retry" else [])
    # The child of a run that was cancelled goes on; of one cancelled before, there is none.
    children = list(Run.objects.filter(parent__isnull=False).values_list("status", "output"))
    is_begun = what == "child" and first == "outcome"
    assert children == ([("completed", "child is done")] if is_begun else [])


def _release_in_order(
    stage: Stage, run: Run, works: dict[str, Callable[[], object]], *, first: str
) -> dict[str, Any]:
    """Let works wait for the run's lock, one first, and let it go; returns their results."""

    def hold() -> None:
        with transactions.write() as cursor:
            cursor.execute("SELECT 1 FROM inngest_run WHERE id = %s FOR NO KEY UPDATE", (run.pk,))
            cursor.execute("SELECT 'held'")

    holder = stage.actor(hold, "holder").stop_before("'held'").start().paused()
    order = sorted(works, key=lambda name: name != first)
    waiting = [stage.actor(works[name], name).start().blocked() for name in order]
    holder.go().done()
    return {actor.name: actor.done() for actor in waiting}


def test_stalled_outcome_delays_its_own_events_only(
    engine: Engine, stage: Stage, declare: Any
) -> None:
    """A batch that meets a locked run goes one by one; the others are resumed."""

    @declare()
    def waiter(ctx):
        event = ctx.step.wait_for_event(
            "answer", event="test/go", timeout="1h", if_exp="async.data.n == event.data.n"
        )
        return event is not None

    stalled = engine.start("test/started", {"n": 1})
    other = engine.start("test/started", {"n": 2})

    def hold() -> None:
        with transactions.write() as cursor:
            cursor.execute(
                "SELECT 1 FROM inngest_run WHERE id = %s FOR NO KEY UPDATE", (stalled.pk,)
            )
            cursor.execute("SELECT 'held'")

    holder = stage.actor(hold, "holder").stop_before("'held'").start().paused()
    engine.send("test/go", {"n": 1})
    engine.send("test/go", {"n": 2})
    engine.idle()
    other.refresh_from_db()
    stalled.refresh_from_db()
    assert (other.output, stalled.status) == (True, "running")

    holder.go().done()
    routing.route()
    engine.idle()

    stalled.refresh_from_db()
    assert stalled.output is True
