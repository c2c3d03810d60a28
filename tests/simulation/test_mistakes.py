"""The net catches fish: each known mistake is made, and found."""

from __future__ import annotations

import pytest

from tests.simulation import mistakes, runs
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


def test_mistakes_that_the_simulation_cannot_see_are_caught_elsewhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By tests that force one interleaving inside a transaction, or one rule by itself."""
    for mistake in mistakes.ALL:
        if mistake.within:
            continue
        with capsys.disabled():
            print(f"\n{mistakes.line(mistake, None)}")
        assert mistakes.is_there(mistake.elsewhere)
