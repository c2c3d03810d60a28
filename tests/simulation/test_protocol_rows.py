"""Every rule of the protocol has a test, and something that notices when it is gone."""

from __future__ import annotations

import pytest

from tests.docs.pages import DOCS
from tests.simulation import mistakes, nodes, protocol
from tests.simulation.protocol import Rule

PAGE = DOCS / "explanation" / "the-protocol.md"


def test_there_are_twenty_two_rules() -> None:
    assert [rule.row for rule in protocol.RULES] == list(range(1, 23))


@pytest.mark.parametrize("rule", protocol.RULES, ids=lambda rule: str(rule.row))
def test_rule_has_a_test_and_a_mistake(rule: Rule, pytestconfig: pytest.Config) -> None:
    assert nodes.is_collected(rule.test, pytestconfig)
    if rule.is_simulated:
        # tests/simulation/test_mistakes.py makes it, and sees it found.
        mistake = mistakes.named(rule.mistake)
        assert mistake.row == rule.row
        assert mistake.within > 0
    else:
        assert nodes.is_collected(rule.mistake, pytestconfig)
        assert rule.mistake != rule.test


@pytest.mark.parametrize("mistake", mistakes.ALL, ids=lambda one: one.name)
def test_mistake_is_found_by_the_simulation_or_elsewhere(mistake: mistakes.Mistake) -> None:
    assert bool(mistake.within) is not bool(mistake.elsewhere)


@pytest.mark.parametrize(
    "node",
    [
        "tests/simulation/test_nothing.py::test_page_has_the_tables",  # No such file.
        "tests/simulation/test_protocol_rows.py::test_nothing",  # No such function.
        "tests/simulation/mistakes.py::made",  # Neither's name is a test's.
        "tests/simulation/test_schedules.py::met",  # A fixture.
    ],
)
def test_what_pytest_does_not_collect_is_no_test(node: str, pytestconfig: pytest.Config) -> None:
    assert not nodes.is_collected(node, pytestconfig)
    assert nodes.is_collected(
        "tests/simulation/test_protocol_rows.py::test_page_has_the_tables", pytestconfig
    )


def test_test_of_another_mistake_does_not_make_it() -> None:
    """Else a mistake whose test no longer makes it would pass for caught."""
    lost = mistakes.named("do not bound how often an entry is lost")
    early = mistakes.named("scan waits before the event commits")

    assert nodes.makes(lost.elsewhere, lost.name)
    assert not nodes.makes(lost.elsewhere, early.name)


def test_page_has_the_tables() -> None:
    """When this fails, put what ``protocol.rules_table()`` and the other return into the page."""
    text = PAGE.read_text()

    assert protocol.rules_table() in text
    assert protocol.mistakes_table() in text
