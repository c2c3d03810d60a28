"""Fixtures of the tests that break things."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.processes import ProcessStack, Stack

if TYPE_CHECKING:
    from tests.faults.arena import Arena


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
