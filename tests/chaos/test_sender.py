"""What stands between the load and the engine: the sender and the publisher."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from inngest_django.engine.hints import JobHint
from inngest_django.models import Event, Run
from inngest_django.testing import Durable
from inngest_django.testing.chaos import apps, functions
from inngest_django.testing.chaos.apps import Unreliable
from inngest_django.testing.chaos.handover import VARIABLE, Handover, flag, received
from inngest_django.testing.chaos.ledger import Ledger
from inngest_django.testing.chaos.sender import Sender


def handover(folder: Path) -> Handover:
    return Handover(
        settings="mysite.settings",
        app="mysite",
        alias="default",
        database={"PORT": "1"},
        broker_url="amqp://x",
        key_prefix="",
        queues=("q", "q-control"),
        lease=3.0,
        folder=str(folder),
        # The sender goes on while this is its parent.
        parent=os.getppid(),
        rate=1.0,
    )


class Publisher:
    """Counts."""

    def __init__(self) -> None:
        self.executed = 0
        self.routed = 0

    def execute(self, found: Sequence[JobHint]) -> bool:
        self.executed += len(found)
        return True

    def route(self) -> bool:
        self.routed += 1
        return True

    def prune(self, number: int) -> bool:
        return True

    def waiting(self, queue: str) -> int:
        return 0


def test_a_process_reads_what_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = handover(tmp_path)

    monkeypatch.setenv(VARIABLE, given.environment()[VARIABLE])

    assert received() == given


@pytest.mark.django_db
def test_an_event_whose_acceptance_was_not_learnt_is_sent_again_and_starts_one_run(
    durable: Durable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = durable.send
    calls = 0

    def unlucky(event: Any) -> None:
        nonlocal calls
        calls += 1
        send(event)
        if calls == 1:
            raise OperationalError("the reply to COMMIT was lost")

    durable.only(*functions.ALL)
    monkeypatch.setattr(functions, "_ledger", lambda: Ledger(tmp_path / "ledger"))
    monkeypatch.setattr(functions.client, "send_sync", unlucky)
    # It lets go of broken connections; the test's own has to stay.
    monkeypatch.setattr("django.db.connections.close_all", lambda: None)
    given = handover(tmp_path)

    Sender(given)._send("group.0", "group")
    durable.advance("10s")

    assert Event.objects.filter(external_id="inngest-chaos.q.group.0").count() == 2
    assert [run.function_id for run in Run.objects.all()] == ["inngest-chaos-group"]
    sent = [note.what for note in Ledger(given.ledger).notes() if "group.0" in note.key]
    assert sent == ["sent", "accepted"]


def test_messages_vanish_or_repeat_while_a_flag_is_there(tmp_path: Path) -> None:
    inner = Publisher()
    publisher = Unreliable(inner, str(tmp_path))
    hints: list[Any] = [object(), object()]

    publisher.execute(hints)
    publisher.route()
    assert (inner.executed, inner.routed) == (2, 1)

    lose = Path(flag(str(tmp_path), apps.LOSE))
    lose.touch()
    assert publisher.execute(hints)
    assert publisher.route()
    assert (inner.executed, inner.routed) == (2, 1)

    lose.unlink()
    Path(flag(str(tmp_path), apps.REPEAT)).touch()
    publisher.execute(hints)
    assert (inner.executed, inner.routed) == (12, 1)
