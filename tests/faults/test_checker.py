"""The checker is worth what it notices.

An engine with a rule taken out does not pass, nor one that takes longer than it may.
``test_audit.py`` shows the same of rows that are not as they should be.
"""

from __future__ import annotations

import pytest

from tests.faults import injection, load
from tests.faults.arena import Arena
from tests.faults.drives import BrokenPromiseError, Strike
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules

pytestmark = pytest.mark.faults


def test_jobs_that_are_taken_whoever_holds_them_are_noticed(arena: Arena) -> None:
    arena.start_worker({injection.MISTAKE: "lease", injection.HINTS: "triple"})

    with pytest.raises(
        BrokenPromiseError, match=r"the body of '.+' was called .+ after its result|announced \["
    ):
        arena.drive(sets=4)


def test_a_step_that_no_entry_follows_is_noticed(arena: Arena) -> None:
    arena.start_worker({injection.MISTAKE: "enter"})

    with pytest.raises(BrokenPromiseError, match="live run without a job"):
        arena.drive()


@pytest.mark.parametrize("how", ["strike", "point", "count"])
def test_a_recovery_that_takes_longer_than_its_bound_is_noticed(arena: Arena, how: str) -> None:
    """Of less than no time, as a recovery can be shorter than the stroke of the metronome."""

    def kill() -> None:
        arena.begun(arena.start(load.single, fault={"work": "kill"}))

    strikes = [Strike(4, kill, faults=0)]
    arena.start_worker(points=how == "point")
    if how == "point":
        injection.arm(arena.folder, "lease.taken")

    with pytest.raises(BrokenPromiseError, match="the bound is -1 s"):
        arena.drive(
            timeout=120,
            bound=-1.0,
            strikes=strikes if how == "strike" else (),
            count=lambda: int(how == "count" and bool(arena.all_runs().filter(status="running"))),
        )


def test_a_worker_that_no_test_arms_passes_every_point(arena: Arena) -> None:
    """Its statements are those of production, which has no moment between some of them."""
    arena.start_worker()
    injection.arm(arena.folder, "lease.taken")

    report = arena.drive()

    assert report.hits == ()
    assert injection.disarm(arena.folder) == ["lease.taken"]
