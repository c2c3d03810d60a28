"""Pruning: to the end, in small transactions, in turns."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from inngest_django import ids
from inngest_django.engine import retention, transactions
from inngest_django.models import Event, IdempotencyKey, Pulse, Run, Step
from tests import factories
from tests.engine.support import Engine

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = factories.ago(90 * 86_400)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of two, and a turn that is over after each."""
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(retention, "TURN", dt.timedelta(0))


def _old_event(**values: Any) -> Event:
    millis = int(LONG_AGO.timestamp() * 1000)
    values.setdefault("id", ids.ulid_from_seed(millis - 1000, Event.objects.count().to_bytes(10)))
    return factories.event(received_at=LONG_AGO, routed_at=LONG_AGO, **values)


def _old_runs(count: int, *, steps: int = 1) -> list[str]:
    """Runs that ended long ago, the oldest first."""
    millis = int(LONG_AGO.timestamp() * 1000)
    found = []
    for number in range(count):
        run = factories.run(
            id=ids.ulid_from_seed(millis + number - count, bytes(10)),
            event=_old_event(),
            queued_at=LONG_AGO,
            ended_at=LONG_AGO,
        )
        for index in range(steps):
            factories.step(run, f"step {index}")
        found.append(run.pk)
    return found


def test_goes_on_until_nothing_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 1)
    _old_runs(120)
    new, live = factories.completed_run(), factories.sleeping_run(queued_at=LONG_AGO)

    report = retention.prune()

    assert report == retention.PruneReport(runs=120, events=120)
    assert set(Run.objects.values_list("pk", flat=True)) == {new.pk, live.pk}
    assert set(Event.objects.values_list("pk", flat=True)) == {new.event_id, live.event_id}


def test_a_task_works_for_one_turn_and_asks_for_the_next_while_something_is_left(
    engine: Engine,
) -> None:
    runs = _old_runs(5)

    first = retention.prune_in_turns()

    assert (first.runs, first.events, first.is_done) == (2, 0, False)
    assert list(Run.objects.order_by("pk").values_list("pk", flat=True)) == runs[2:]
    [number] = engine.prunings
    while engine.prunings:
        last = retention.prune_in_turns(engine.prunings.pop())
        assert engine.prunings in ([], [number])
    assert last.is_done
    assert not Run.objects.exists()
    assert not Event.objects.exists()


def test_nothing_is_asked_for_when_nothing_is_left(engine: Engine) -> None:
    _old_runs(1)

    report = retention.prune_in_turns()

    assert report.is_done
    assert not Run.objects.exists()
    assert engine.prunings == []


def test_a_new_pruning_ends_the_one_before(engine: Engine) -> None:
    runs = _old_runs(8)
    retention.prune_in_turns()
    retention.prune_in_turns()
    earlier, later = engine.prunings
    engine.prunings.clear()

    stale = retention.prune_in_turns(earlier)

    assert stale == retention.PruneReport()
    assert engine.prunings == []
    assert list(Run.objects.order_by("pk").values_list("pk", flat=True)) == runs[4:]
    assert retention.prune_in_turns(later).runs == 2
    assert engine.prunings == [later]


def test_the_tick_keeps_the_number_of_the_pruning(engine: Engine) -> None:
    _old_runs(3)
    retention.prune_in_turns()

    engine.tick()

    assert retention.prune_in_turns(engine.prunings.pop()).runs == 1
    assert Pulse.objects.get().ticked_at is not None


def test_each_batch_is_a_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = _old_runs(5)
    fit = retention._as_many_as_fit

    def fail_in_the_second(found: list[str]) -> list[str]:
        if found[0] != runs[0]:
            raise ZeroDivisionError
        return fit(found)

    monkeypatch.setattr(retention, "_as_many_as_fit", fail_in_the_second)

    with pytest.raises(ZeroDivisionError):
        retention.prune()

    assert list(Run.objects.order_by("pk").values_list("pk", flat=True)) == runs[2:]


def test_runs_of_many_steps_go_in_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 10)
    monkeypatch.setattr(retention, "BATCH_STEPS", 5)
    runs = _old_runs(3, steps=3)
    none = dt.timedelta(0)

    reports = [retention.prune(within=none) for _ in range(3)]

    assert [report.runs for report in reports] == [1, 1, 1]
    assert [report.is_done for report in reports] == [False, False, True]
    assert not Run.objects.filter(pk__in=runs).exists()
    assert not Step.objects.exists()


def test_a_run_of_more_steps_than_a_batch_may_have_goes_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "BATCH_STEPS", 2)
    _old_runs(2, steps=4)

    assert retention.prune().runs == 2


def test_events_whose_sender_chose_an_id_of_the_future_go_too() -> None:
    _old_event(id=ids.ulid_from_seed(2**47, bytes(10)))
    new = factories.event(id=ids.ulid_from_seed(2**47, bytes(9) + b"\1"))

    assert retention.prune().events == 1
    assert list(Event.objects.values_list("pk", flat=True)) == [new.pk]


def test_idempotency_keys_go_in_batches_too() -> None:
    now = transactions.now()
    day = dt.timedelta(days=1)
    for number, expires_at in enumerate([now - day] * 5 + [now + day]):
        IdempotencyKey.objects.create(
            function_id="f", key=f"{number}", run_id=ids.new_ulid(), expires_at=expires_at
        )

    first = retention.prune(within=dt.timedelta(0))

    assert (first.idempotency_keys, first.is_done) == (2, False)
    assert retention.prune().idempotency_keys == 3
    assert list(IdempotencyKey.objects.values_list("key", flat=True)) == ["5"]


def test_without_a_retention_only_keys_go(settings: Any) -> None:
    settings.INNGEST = {**settings.INNGEST, "RETENTION": None}
    _old_runs(1)

    assert retention.prune() == retention.PruneReport()
    assert Run.objects.count() == 1
