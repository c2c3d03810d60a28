"""Fixtures of the tests that break things."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults import verdicts
from tests.processes import ProcessStack, Stack

if TYPE_CHECKING:
    from tests.faults.arena import Arena


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    mark = item.get_closest_marker("matrix")
    if mark is None:
        return (yield)
    verdicts.begin(*mark.args)
    failed = True
    try:
        result = yield
        failed = False
        return result
    finally:
        verdicts.end(item.name, failed=failed)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if lines := verdicts.finish():
        terminalreporter.section("faults")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="module")
def shared_arena(stack: Stack) -> Iterator[Arena]:
    """One worker for all tests of a file; starting one takes seconds."""
    from tests.faults import arena

    assert isinstance(stack, ProcessStack)
    with arena.running(stack) as opened:
        yield opened


@pytest.fixture
def arena(shared_arena: Arena) -> Iterator[Arena]:
    """A worker and beat in which something is about to break."""
    shared_arena.ensure_worker()
    try:
        yield shared_arena
    finally:
        shared_arena.close()
