"""Every rule of the protocol has a test, and something that notices when it is gone."""

from __future__ import annotations

import pytest

from tests.docs.pages import DOCS
from tests.simulation import mistakes, protocol
from tests.simulation.protocol import Rule

PAGE = DOCS / "explanation" / "the-protocol.md"


def test_there_are_twenty_two_rules() -> None:
    assert [rule.row for rule in protocol.RULES] == list(range(1, 23))


@pytest.mark.parametrize("rule", protocol.RULES, ids=lambda rule: str(rule.row))
def test_rule_has_a_test_and_a_mistake(rule: Rule) -> None:
    assert mistakes.is_there(rule.test)
    if rule.is_simulated:
        # tests/simulation/test_mistakes.py makes it, and sees it found.
        mistake = mistakes.named(rule.mistake)
        assert mistake.row == rule.row
        assert mistake.within > 0
    else:
        assert mistakes.is_there(rule.mistake)
        assert rule.mistake != rule.test


@pytest.mark.parametrize("mistake", mistakes.ALL, ids=lambda one: one.name)
def test_mistake_is_caught_by_something_that_exists(mistake: mistakes.Mistake) -> None:
    assert bool(mistake.within) is not bool(mistake.elsewhere)
    assert not mistake.elsewhere or mistakes.is_there(mistake.elsewhere)


def test_page_has_the_tables() -> None:
    """When this fails, put what ``protocol.rules_table()`` and the other return into the page."""
    text = PAGE.read_text()

    assert protocol.rules_table() in text
    assert protocol.mistakes_table() in text
