"""What a call leaves behind: nothing that waits for the garbage collector."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.drivers.harness import run
from tests.unit.drivers.support import function


@pytest.fixture
def by_count_alone() -> Iterator[None]:
    """Keep the collector from helping."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.usefixtures("by_count_alone")
@pytest.mark.parametrize("checkpointing", [False, True])
def test_contexts_are_gone_when_their_calls_have_ended(checkpointing: bool) -> None:
    left: list[weakref.ref[Any]] = []

    def handler(ctx: Any) -> int:
        left.append(weakref.ref(ctx))
        ctx.step.run("first", lambda: 1)
        ctx.step.sleep("nap", "1h")
        branches = tuple(functools.partial(ctx.step.run, name, lambda: 1) for name in "abc")
        return sum(ctx.group.parallel(branches))

    engine = run(function(handler), checkpointing=checkpointing)

    assert engine.output == 3
    assert len(left) > 4
    assert [ref() for ref in left] == [None] * len(left)
