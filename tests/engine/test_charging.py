"""What a lost worker costs: nothing, unless the author's code was running."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from inngest_django.client import Inngest
from inngest_django.engine import crash_points
from inngest_django.models import Attempt, Run
from tests.engine.support import Engine, assert_sound
from tests.engine.test_protocol import LEASE, Died, declare
from tests.simulation import mistakes


@pytest.fixture
def doomed() -> Iterator[list[str]]:
    """A worker that reaches a point of this list dies there, once for each time it is listed."""
    wanted: list[str] = []

    def die(name: str) -> None:
        if name in wanted:
            wanted.remove(name)
            raise Died

    crash_points.install(die)
    yield wanted
    crash_points.install(None)


def live_through(engine: Engine, run: Run, deaths: list[str]) -> None:
    """Let workers die where they must and leases end, until all have died."""
    for _ in range(20):
        try:
            engine.advance(LEASE)
        except Died:
            assert_sound(run)
            continue
        run.refresh_from_db()
        if not deaths and not run.is_live:
            return
    raise AssertionError(f"run is {run.status}, not died: {deaths}")


def _begin(engine: Engine, client: Inngest, attempts: list[int]) -> Run:
    @declare(client, retries=0)
    def fragile(ctx: Any) -> str:
        def body() -> str:
            attempts.append(ctx.attempt)
            return "done"

        return ctx.step.run("body", body)

    event_id = engine.send("test/started")
    engine.step()
    return engine.run_of(event_id)


@pytest.mark.parametrize("point", ["lease.taken", "call.start"])
@pytest.mark.parametrize("times", [1, 2])
def test_worker_lost_before_the_body_costs_no_attempt(
    engine: Engine, client: Inngest, doomed: list[str], point: str, times: int
) -> None:
    """Row 20: with ``retries=0`` one charge would fail the step, and the run."""
    attempts: list[int] = []
    run = _begin(engine, client, attempts)
    doomed += [point] * times

    live_through(engine, run, doomed)

    assert (run.status, run.output) == ("completed", "done"), run.error
    assert attempts == [0]


def test_charge_for_a_worker_lost_before_the_body_fails_the_run(
    engine: Engine, client: Inngest, doomed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    charge = mistakes.named("end a piece at its first lost lease")
    charge.apply(monkeypatch, None)  # type: ignore[arg-type]
    attempts: list[int] = []
    run = _begin(engine, client, attempts)
    doomed.append("lease.taken")

    live_through(engine, run, doomed)

    assert (run.status, attempts) == ("failed", [])


def test_sleep_whose_workers_are_lost_again_and_again_ends_as_a_sleep(
    engine: Engine, client: Inngest, doomed: list[str]
) -> None:
    """No code of the author's is in it: however often, the sleep does not fail."""

    @declare(client, retries=0)
    def sleeper(ctx: Any) -> str:
        ctx.step.sleep("nap", "1h")
        return "awake"

    run = engine.start("test/started")
    doomed += ["lease.taken"] * 8
    engine.lose_hints()
    with pytest.raises(Died):
        engine.advance(dt.timedelta(hours=1, seconds=1))

    live_through(engine, run, doomed)

    assert run.output == "awake"
    assert run.steps.get().status == "completed"
    assert not Attempt.objects.filter(run=run).exists()
