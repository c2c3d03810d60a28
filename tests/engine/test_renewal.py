"""Which leases are renewed: those of the user's code for hours, the engine's own work briefly."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from inngest_django.client import Inngest
from inngest_django.engine import crash_points, executor, hot_path, leases, transactions
from inngest_django.engine.leases import Lease
from inngest_django.models import Job
from tests.engine.support import Engine
from tests.engine.test_protocol import declare

TTL = 20.0


@pytest.fixture
def held(engine: Engine, client: Inngest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Lease]]:
    """The leases of this test, as they are taken."""
    found: list[Lease] = []
    holding = leases.holding

    @contextlib.contextmanager
    def noted(*args: Any, **options: Any) -> Iterator[Lease]:
        with holding(*args, **options) as lease:
            found.append(lease)
            yield lease

    monkeypatch.setattr(executor.leases, "holding", noted)
    yield found
    crash_points.install(None)


def _renew(monkeypatch: pytest.MonkeyPatch, lease: Lease) -> bool:
    """Whether a round of renewals extends a lease that was renewed long ago."""
    asked: list[int] = []
    monkeypatch.setattr(hot_path, "renew", lambda due: asked.extend(due) or list(due))
    renewer = leases._Renewer()
    renewer.held[lease.token] = lease
    renewer.renew()
    return asked == [lease.token]


@pytest.mark.parametrize(
    ("working_for", "is_renewed"), [(None, True), (TTL * 0.9, True), (TTL * 1.1, False)]
)
def test_what_the_engine_does_is_not_renewed_for_longer_than_a_lease(
    monkeypatch: pytest.MonkeyPatch, working_for: float | None, is_renewed: bool
) -> None:
    now = time.monotonic()
    lease = Lease(1, 7, TTL, taken=now - 100, renewed=now - 10)
    if working_for is not None:
        lease.working_since = now - working_for

    assert _renew(monkeypatch, lease) is is_renewed


def test_no_body_is_renewed_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    lease = Lease(1, 7, TTL, taken=now - leases.BODY_LIMIT - 1, renewed=now - 10)

    assert not _renew(monkeypatch, lease)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_users_code_is_told_from_the_engines(
    engine: Engine,
    client: Inngest,
    held: list[Lease],
    checkpointing: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[str, bool]] = []

    def note(name: str) -> None:
        if held:
            seen.append((name, held[-1].working_since is None))

    @declare(client, checkpointing=checkpointing)
    def function(ctx: Any) -> None:
        note("handler")
        ctx.step.run("body", lambda: note("body"))
        note("between")
        ctx.step.transaction("transaction", lambda: note("body in transaction"))

    write = transactions.write

    def noted_write() -> Any:
        note("begin")
        return write()

    monkeypatch.setattr(transactions, "write", noted_write)
    crash_points.install(note)
    engine.send("test/started")
    engine.idle()

    theirs = {name for name, is_theirs in seen if is_theirs}
    ours = {name for name, is_theirs in seen if not is_theirs}
    assert theirs == {"handler", "body", "between", "body in transaction"}
    assert {"begin", "call.start", "call.end", "transaction.body_done", "outcome.committed"} <= ours
    assert ("checkpoint.start" in ours) is checkpointing
    assert not Job.objects.exists()
