"""The checker, on a load that really ran, and on the same one after something was falsified."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connections, transaction

from inngest_django.models import Event, Run, Step
from tests import ledger
from tests.faults import arena as arenas
from tests.faults.drives import Drive
from tests.faults.load import *  # noqa: F403 - a worker finds functions in test modules
from tests.processes import ProcessStack

pytestmark = pytest.mark.faults


class Done:
    """A load that has ended; what is changed is rolled back after each test."""

    def __init__(self, drive: Drive, runs: tuple[Run, ...]) -> None:
        self.drive = drive
        self._ids = [run.id for run in runs]

    def runs(self) -> list[Run]:
        """Return all of them as they are now."""
        return list(Run.objects.filter(id__in=self._ids))

    def run(self, name: str) -> Run:
        """Return the first run of a function."""
        return Run.objects.filter(id__in=self._ids, function_id=f"faults-{name}").order_by("id")[0]

    def step(self, name: str, step: str) -> Step:
        """Return a step of that run."""
        return Step.objects.get(run=self.run(name), name=step)

    def problems(self) -> list[str]:
        """Return what the checker says of the load as it is now."""
        return self.drive.problems(self.runs())


@pytest.fixture(scope="module")
def finished(stack: ProcessStack) -> Iterator[Done]:
    with arenas.running(stack) as arena:
        report = arena.drive()
        yield Done(arena.under_way, report.runs)


@pytest.fixture
def done(finished: Done) -> Iterator[Done]:
    with transaction.atomic():
        yield finished
        transaction.set_rollback(True)


def _sql(statement: str, *params: object) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute(statement, params)


def test_a_load_that_went_well_broke_no_promise(done: Done) -> None:
    assert done.problems() == []


def test_an_effect_of_a_transaction_step_that_is_there_twice_is_noticed(done: Done) -> None:
    run = done.run("sequence")
    _sql("INSERT INTO fault_effect VALUES (%s, 'write')", run.id)

    [found] = done.problems()

    assert found.startswith(f"faults-sequence {run.id}: effects {{'write': 2, 'write again': 1}}")


def test_an_effect_of_a_transaction_step_that_is_lost_is_noticed(done: Done) -> None:
    run = done.run("group")
    _sql("DELETE FROM fault_effect WHERE run_id = %s", run.id)

    assert done.problems() == [f"faults-group {run.id}: effects {{}}, not {{'side': 1}}"]


def test_a_result_that_is_recorded_twice_is_noticed(done: Done) -> None:
    step = done.step("sequence", "one")
    step.output = "another"
    step.save(using="default", update_fields=["output"])

    assert done.problems() == [f"faults-sequence {step.run_id}: 'one' was recorded 2 times"]


def test_a_body_that_is_called_after_its_result_is_noticed(done: Done) -> None:
    step = done.step("express", "three")
    # As if it had been recorded before the call that the ledger has.
    _sql(
        "UPDATE fault_recorded SET at = to_timestamp(%s) WHERE run_id = %s AND step = 'three'",
        ledger.notes(step.run_id, "begin three")[0].at - 0.5,
        step.run_id,
    )

    [found] = done.problems()

    assert found == (
        f"faults-express {step.run_id}: the body of 'three' was called 0.500 s after its result"
    )


def test_an_accepted_event_that_was_not_routed_is_noticed(done: Done) -> None:
    event_id = done.run("group").event_id
    Event.objects.filter(pk=event_id).update(routed_at=None)

    assert done.problems() == [f"{event_id} was not routed"]


def test_an_accepted_event_that_is_gone_is_noticed(
    done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = [*done.drive.accepted, "none-of-these"]
    monkeypatch.setattr(Drive, "accepted", accepted)

    assert done.problems() == ["none-of-these was not routed"]


def test_an_event_sent_by_a_step_that_was_not_routed_is_noticed(done: Done) -> None:
    [event_id] = done.step("parent", "announce").output
    Event.objects.filter(pk=event_id).update(routed_at=None)

    assert done.problems() == [f"{event_id} was not routed"]


def test_an_event_sent_by_a_step_that_is_gone_is_noticed(done: Done) -> None:
    step = done.step("parent", "announce")
    Event.objects.filter(pk__in=step.output).delete()

    assert done.problems() == [f"{step.run_id} announced [], not {step.output}"]


def test_an_event_sent_by_a_step_twice_is_noticed(done: Done) -> None:
    step = done.step("parent", "announce")
    event = Event.objects.get(pk__in=step.output)
    event.pk = f"{event.pk[:-1]}{'0' if event.pk[-1] != '0' else '1'}"
    event._state.adding = True
    event.save(using="default")

    [found] = done.problems()

    assert found.startswith(f"{step.run_id} announced [")
    assert event.pk in found


def test_a_run_without_a_job_is_noticed(done: Done) -> None:
    run = done.run("child")
    Run.objects.filter(pk=run.id).update(status="running")

    assert f"live run without a job: faults-child {run.id}" in done.problems()


def test_a_run_that_ended_otherwise_is_noticed(done: Done) -> None:
    run = done.run("parent")
    Run.objects.filter(pk=run.id).update(output=51)

    found = done.problems()

    assert f"faults-parent {run.id}: ended completed with 51 (None)" in found
    # The change is the second end that is seen.
    assert f"faults-parent {run.id}: ended 2 times: ['completed', 'completed']" in found


def test_a_run_that_nobody_asked_for_is_noticed(done: Done) -> None:
    [found] = done.drive.problems([*done.runs(), done.run("child")])

    assert found.startswith("runs Counter(")
