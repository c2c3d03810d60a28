"""The checker, on a load that really ran, and on the same one after something was doctored."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from inngest_django import Event
from inngest_django.models import Event as EventRow
from inngest_django.models import Job, Run, Step
from inngest_django.testing import Durable
from inngest_django.testing.chaos import audit, functions, rows
from inngest_django.testing.chaos.audit import Verdict, Watch, check
from inngest_django.testing.chaos.ledger import Ledger, Note
from tests import factories

PREFIX = functions.PREFIX


class Load:
    """One set of events that was sent and worked off."""

    def __init__(self, durable: Durable, ledger: Ledger) -> None:
        self.ledger = ledger
        self.watch = Watch()
        durable.only(*functions.ALL)
        for name in (*functions.SENT, "answered"):
            key = f"{PREFIX}.test.{name}.0"
            event = Event(id=key, name=f"{PREFIX}/{name}", data={"key": "0", "text": "yes"})
            durable.send(event)
            ledger.note(key, "accepted")
        durable.advance("10s")
        self.watch.look()

    def run(self, name: str) -> Run:
        return Run.objects.get(function_id=f"{PREFIX}-{name}")

    def broken(self, *, also: tuple[Note, ...] = ()) -> dict[str, list[str]]:
        verdicts = check([*self.ledger.notes(), *also], self.watch)
        return {one.promise: one.violations for one in verdicts if not one.is_kept}


@pytest.fixture
def load(durable: Durable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    ledger = Ledger(tmp_path / "ledger")
    monkeypatch.setattr(functions, "_ledger", lambda: ledger)
    # The test's clock stands still and its bodies come late by it; both must be one clock.
    monkeypatch.setattr(audit, "_TOLERANCE", 3600.0)
    rows.prepare()
    return Load(durable, ledger)


pytestmark = pytest.mark.django_db


def test_a_clean_load_keeps_every_promise(load: Load) -> None:
    verdicts = check(load.ledger.notes(), load.watch)

    assert {one.promise: one.violations for one in verdicts} == {
        promise: [] for promise in (audit.ROUTED, audit.ENDED, audit.ONCE, audit.EFFECT, audit.JOBS)
    }
    assert all(one.checked for one in verdicts)
    # Each function of the load took part.
    assert {run.function_id.removeprefix(f"{PREFIX}-") for run in Run.objects.all()} == set(
        functions.OUTCOMES
    )


def test_an_accepted_event_that_is_gone_is_noticed(load: Load) -> None:
    key = f"{PREFIX}.test.group.99"

    [found] = load.broken(also=(Note(key, "accepted", 1, 0.0),))[audit.ROUTED][:1]

    assert found == f"accepted event {key} is not in the database"


def test_a_session_in_which_nothing_ran_is_no_good_one(tmp_path: Path) -> None:
    rows.prepare()

    verdicts = check(Ledger(tmp_path / "ledger").notes(), Watch())

    assert [one.violations for one in verdicts if not one.is_kept] == [
        ["no event was accepted at all; look at the sender's log"]
    ]


def test_an_event_that_was_never_routed_is_noticed(load: Load) -> None:
    EventRow.objects.filter(name=f"{PREFIX}/group").update(routed_at=None)

    assert load.broken() == {
        audit.ROUTED: [f"accepted event {PREFIX}.test.group.0 was never routed"]
    }


def test_an_event_that_started_its_run_twice_is_noticed(load: Load) -> None:
    run = load.run("group")
    steps = list(run.steps.all())
    run.pk = f"{run.pk[:-1]}{'0' if run.pk[-1] != '0' else '1'}"
    run._state.adding = True
    run.save(using="default")
    for step in steps:
        step.pk, step.run, step._state.adding = None, run, True
        step.save(using="default")

    found = load.broken()

    assert found[audit.ROUTED] == [f"event {PREFIX}.test.group.0 started 2 runs of group"]


def test_a_run_that_ended_otherwise_is_noticed(load: Load) -> None:
    run = load.run("sequence")
    run.output = ["something else"]
    run.save(using="default")

    [found] = load.broken()[audit.ENDED]

    assert found.startswith(f"sequence {run.id} ended completed with ['something else']")


def test_a_run_that_did_not_end_is_noticed(load: Load) -> None:
    run = load.run("express")
    Run.objects.filter(pk=run.id).update(status="running")

    broken = load.broken()

    [found] = broken[audit.ENDED]
    assert found.startswith(f"express {run.id} has not ended: running. Stuck: it has no job")
    assert "step one completed" in found
    assert broken[audit.JOBS] == [f"live run without a job: {run.id} {PREFIX}-express"]


def test_what_moves_a_run_that_did_not_end_is_told(load: Load) -> None:
    """Its rows are gone when somebody wants to know why."""
    run = load.run("express")
    Run.objects.filter(pk=run.id).update(status="running")
    factories.job(run, kind="enter", lease_token=7, lease_owner="host:1", hint_count=3)

    [found] = load.broken()[audit.ENDED]

    assert "job enter, due " in found
    assert " after 3, lost 0, lease host:1" in found


def test_a_missing_step_is_noticed(load: Load) -> None:
    run = load.run("group")
    Step.objects.filter(run=run, name="left").delete()

    assert f"group {run.id} has the steps" in load.broken()[audit.ENDED][0]


def test_a_result_that_changed_is_noticed(load: Load) -> None:
    step = load.run("sequence").steps.get(name="one")
    step.output = 2
    step.save(using="default")

    [found] = load.broken()[audit.ONCE]

    assert found == f"{step.run_id} 'one' was recorded completed, then completed again"


def test_a_body_called_after_its_result_is_noticed(load: Load) -> None:
    step = load.run("sequence").steps.get(name="one")
    assert step.ended_at
    late = step.ended_at.timestamp() - audit.clock_offset() + 7200

    [found] = load.broken(also=(Note(step.run_id, "begin one", os.getpid(), late),))[audit.ONCE]

    # The offset of the two clocks is measured each time anew.
    words, seconds = re.fullmatch(r"(.* was called) (\S+) s after its result", found).groups()
    assert words == f"{step.run_id} 'one' was called"
    assert float(seconds) == pytest.approx(7200, abs=60)


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("DELETE FROM {table} WHERE run_id = %s AND step = 'side'", "'side' wrote 0 times"),
        ("INSERT INTO {table} VALUES (%s, 'side')", "'side' wrote 2 times"),
        ("INSERT INTO {table} VALUES (%s, 'left')", "'left' wrote 1 times and should not have"),
    ],
)
def test_an_effect_that_is_missing_or_there_twice_is_noticed(
    load: Load, statement: str, text: str
) -> None:
    run = load.run("group")
    with connection.cursor() as cursor:
        cursor.execute(statement.format(table=functions.EFFECTS_TABLE), [run.id])

    [found] = load.broken()[audit.EFFECT]

    assert found.endswith(f"{run.id} {text}")


def test_a_job_of_an_ended_run_is_noticed(load: Load) -> None:
    run = load.run("group")
    Job.objects.create(
        run=run,
        kind="enter",
        function_id=run.function_id,
        available_at=run.queued_at,
        next_hint_at=run.queued_at,
    )

    assert load.broken() == {audit.JOBS: [f"job of an ended run: {run.id} enter"]}


def test_what_is_due_is_outstanding_until_it_moves(load: Load) -> None:
    run = load.run("group")
    before = rows.outstanding()
    job = Job.objects.create(
        run=run,
        kind="enter",
        function_id=run.function_id,
        available_at=run.queued_at,
        next_hint_at=run.queued_at,
    )

    due = rows.outstanding()
    assert not before.left(due)
    assert due.left(rows.outstanding())
    Job.objects.filter(pk=job.pk).update(lease_token=5)
    assert not due.left(rows.outstanding())


def test_cleaning_takes_the_load_and_nothing_else(load: Load, durable: Durable) -> None:
    other = EventRow.objects.get(pk=durable.send("shop/order", {"n": 1}))

    rows.clean()

    assert list(EventRow.objects.all()) == [other]
    assert not Run.objects.exists()
    assert not Step.objects.exists()
    assert functions.EFFECTS_TABLE not in connection.introspection.table_names()


def test_a_verdict_shows_few_of_many_violations() -> None:
    verdict = Verdict("promise")
    for number in range(8):
        verdict.expect(False, f"case {number}")
    verdict.expect(True, "unused")

    assert verdict.checked == 9
    assert verdict.shown() == [*(f"case {number}" for number in range(5)), "and 3 more"]
