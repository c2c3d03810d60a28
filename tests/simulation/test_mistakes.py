"""The net catches fish: each known mistake is made, and found."""

from __future__ import annotations

import pytest

from tests.simulation import mistakes, nodes, runs
from tests.simulation.mistakes import Mistake
from tests.simulation.stage import Stage

pytestmark = pytest.mark.sqlite


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "mistake", [one for one in mistakes.ALL if one.within], ids=lambda one: one.name
)
def test_mistake_is_caught(
    stage: Stage, mistake: Mistake, capsys: pytest.CaptureFixture[str]
) -> None:
    caught = runs.hunt(stage, mistake)

    with capsys.disabled():
        print(f"\n{mistakes.line(mistake, caught)}")
    assert caught is not None
    # It is the mistake that is found: with the rule in place the same schedule is clean.
    assert runs.one(stage, caught.seed).problems == []


@pytest.mark.parametrize(
    "mistake", [one for one in mistakes.ALL if not one.within], ids=lambda one: one.name
)
def test_mistake_that_the_simulation_cannot_see_is_made_elsewhere(
    mistake: Mistake, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a test that forces one sequence, or one interleaving inside a transaction."""
    with capsys.disabled():
        print(f"\n{mistakes.line(mistake, None)}")
    assert nodes.is_collected(mistake.elsewhere, pytestconfig)
    assert nodes.makes(mistake.elsewhere, mistake.name)


@pytest.mark.parametrize(
    "name",
    [
        "drop the token check",
        "publish before the commit",
        "decide the join outside the lock",
        "leave wait keys behind",
        "release a lease twice",
        "scan waits before the event commits",
    ],
)
def test_best_known_mistakes_are_among_them(name: str) -> None:
    assert name in {mistake.name for mistake in mistakes.ALL}


def test_mistake_in_a_name_that_is_gone_is_no_mistake_made(stage: Stage) -> None:
    """A patch that changes nothing would let a hunt end empty for the wrong reason."""
    gone = Mistake("gone", 0, lambda patch, _: patch.setattr(mistakes.hot_path, "gone", None), 1)

    with pytest.raises(AttributeError, match="gone"), mistakes.made(gone, stage):
        pass
