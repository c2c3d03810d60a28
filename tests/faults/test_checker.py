"""The checker is worth what it notices: an engine with a rule taken out does not pass."""

from __future__ import annotations

import pytest

from tests.faults import injection
from tests.faults.arena import Arena
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules

pytestmark = pytest.mark.faults


def test_jobs_that_are_taken_whoever_holds_them_are_noticed(arena: Arena) -> None:
    arena.start_worker({injection.MISTAKE: "lease", injection.HINTS: "triple"})

    try:
        report = arena.drive(sets=2)
    except AssertionError as error:
        noticed = str(error)
    else:
        noticed = f"{report.extra_calls} bodies called again" if report.extra_calls else ""

    print(noticed[:300])
    assert noticed


def test_a_step_that_no_entry_follows_is_noticed(arena: Arena) -> None:
    arena.start_worker({injection.MISTAKE: "enter"})

    with pytest.raises(AssertionError, match="live run without a job"):
        arena.drive()
