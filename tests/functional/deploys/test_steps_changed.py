"""Results are kept across versions of a function: what was done is not done again.

A run of the first release has recorded some steps and sleeps. The second release inserts,
removes, reorders or renames steps; then the run wakes up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

import inngest_django as inngest
from inngest_django.models import Run
from tests import ledger
from tests.functional.deploying import RELEASE, deployed, wake
from tests.functional.support import Live, client
from tests.processes import Stack


@dataclasses.dataclass(frozen=True)
class Change:
    """Names of the steps in each release (``zzz`` sleeps), and which bodies run in the second."""

    before: list[str]
    after: list[str]
    ran: list[str]


CHANGES = {
    "same": Change(["a", "b", "zzz", "c"], ["a", "b", "zzz", "c"], ["c"]),
    "insert-before": Change(["a", "b", "zzz", "c"], ["a", "new", "b", "zzz", "c"], ["new", "c"]),
    "insert-first": Change(["a", "zzz", "c"], ["new", "a", "zzz", "c"], ["new", "c"]),
    "insert-after": Change(["a", "zzz", "c"], ["a", "zzz", "new", "c"], ["new", "c"]),
    "remove-done": Change(["a", "b", "zzz", "c"], ["a", "zzz", "c"], ["c"]),
    "remove-coming": Change(["a", "zzz", "c", "d"], ["a", "zzz", "d"], ["d"]),
    "remove-sleep": Change(["a", "zzz", "c"], ["a", "c"], ["c"]),
    "reorder": Change(["a", "b", "zzz", "c"], ["b", "zzz", "a", "c"], ["c"]),
    "rename": Change(["a", "b", "zzz", "c"], ["a", "b2", "zzz", "c"], ["b2", "c"]),
    "repeat": Change(["a", "a", "zzz", "c"], ["a", "a", "a", "zzz", "c"], ["a", "c"]),
}


def _declare(name: str, *, release: int) -> inngest.Function:
    names = CHANGES[name].before if release == 1 else CHANGES[name].after

    @client.create_function(
        fn_id=f"deploys-{name}",
        retries=0,
        trigger=inngest.TriggerEvent(event=f"functional/deploys-{name}"),
    )
    def handler(ctx: inngest.ContextSync) -> Any:
        results = []
        for step in names:
            if step == "zzz":
                ctx.step.sleep("zzz", "1h")
            else:
                results.append(ctx.step.run(step, _body(ctx.run_id, step, release)))
        return results

    return handler


def _declare_async(name: str, *, release: int) -> inngest.Function:
    names = CHANGES[name].before if release == 1 else CHANGES[name].after

    @client.create_function(
        fn_id=f"deploys-{name}-async",
        retries=0,
        trigger=inngest.TriggerEvent(event=f"functional/deploys-{name}-async"),
    )
    async def handler(ctx: inngest.Context) -> Any:
        results = []
        for step in names:
            if step == "zzz":
                await ctx.step.sleep("zzz", "1h")
            else:
                results.append(await ctx.step.run(step, _body(ctx.run_id, step, release)))
        return results

    return handler


def _body(run_id: str, step: str, release: int) -> Any:
    def body() -> str:
        ledger.note(run_id, f"release {release}", step)
        return f"{step} of {release}"

    return body


def _declared(release: int) -> dict[str, inngest.Function]:
    return {name: _declare(name, release=release) for name in CHANGES} | {
        f"{name}-async": _declare_async(name, release=release) for name in CHANGES
    }


FUNCTIONS = _declared(RELEASE)
# Discovery looks at the names of a module.
globals().update({f"function_{name}": function for name, function in FUNCTIONS.items()})


@pytest.fixture(scope="module")
def ended(stack: Stack) -> Iterator[dict[str, Run]]:
    """The runs of all changes: begun before the one deploy, ended after it."""
    live = Live(stack)
    runs = {name: live.start(function) for name, function in FUNCTIONS.items()}
    for run in runs.values():
        live.step(run, "zzz", status="waiting")
    with deployed(stack, list(_declared(2).values())):
        for run in runs.values():
            wake(run)
        yield {name: live.ended(run, timeout=40) for name, run in runs.items()}


@pytest.mark.parametrize("kind", ["", "-async"], ids=["sync", "async"])
@pytest.mark.parametrize("name", CHANGES)
def test_only_what_is_new_runs(ended: dict[str, Run], name: str, kind: str) -> None:
    run, change = ended[name + kind], CHANGES[name]

    assert run.status == "completed", run.error
    first = [note.value for note in ledger.notes(run.id, "release 1")]
    second = [note.value for note in ledger.notes(run.id, "release 2")]
    assert first == change.before[: change.before.index("zzz")]
    assert second == change.ran
    # Every step of the new code has one result, of the release that ran it; a repeated name
    # that is new is the last of its name.
    expected = []
    old = list(first)
    for step in change.after:
        if step == "zzz":
            continue
        if step in old:
            old.remove(step)
            expected.append(f"{step} of 1")
        else:
            expected.append(f"{step} of 2")
    assert run.output == expected
