"""Plans: what an entry records of its group when something happened since its lease."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from inngest_django.drivers.base import Discovered, Op
from inngest_django.engine import hot_path, outcomes
from inngest_django.engine.hot_path import Leased
from inngest_django.ids import hash_step_id
from inngest_django.models import Job, Run, Step
from inngest_django.states import OpKind, RunStatus, StepStatus
from tests import factories

BRANCHES = [
    Op(kind=OpKind.STEP_PLANNED, hashed_id=hash_step_id(name, 0), name=name, mode="wait")
    for name in "ab"
]


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """An entry that has found a group, while something happened to its run."""

    run: Run
    leased: Leased

    @classmethod
    def that_met(cls, happening: str) -> Entry:
        """Return one whose lease is older than what happened."""
        run = factories.run(RunStatus.RUNNING)
        job = factories.job(run)
        leased = hot_path.lease(job.pk, token=1, owner="w", ttl=20, is_draining=False)
        assert leased is not None
        if happening == "another worker":
            Job.objects.filter(pk=job.pk).update(lease_token=2)
        elif happening == "an end":
            Run.objects.filter(pk=run.pk).update(status=RunStatus.CANCELLED)
        elif happening == "a result":
            Run.objects.filter(pk=run.pk).update(revision=1)
        elif happening == "an old row":
            factories.step(run, "b", StepStatus.CANCELLED)
        elif happening == "an open row":
            factories.job(
                run, kind="step", step=factories.step(run, "b", StepStatus.PLANNED, mode="wait")
            )
        return cls(run, leased)

    @property
    def rows(self) -> dict[str, Any]:
        """The steps' statuses by name, and the kinds of the jobs."""
        return {
            **dict(Step.objects.filter(run=self.run).values_list("name", "status")),
            "jobs": sorted(Job.objects.filter(run=self.run).values_list("kind", flat=True)),
        }


@pytest.mark.postgres
@pytest.mark.parametrize(
    "happening", ["another worker", "an end", "a result", "an old row", "an open row"]
)
def test_a_plan_is_recorded_whole_or_not_at_all(transactional_db: None, happening: str) -> None:
    entry = Entry.that_met(happening)
    before = entry.rows

    written = hot_path.record_plan(
        entry.leased, [(op.hashed_id, op.name, op.index, op.mode, None) for op in BRANCHES]
    )

    assert written is None
    assert entry.rows == before


@pytest.mark.parametrize(
    ("happening", "left"),
    [
        ("nothing", {"a": "planned", "b": "planned", "jobs": ["step", "step"]}),
        ("another worker", {"jobs": ["enter"]}),
        ("an end", {"jobs": ["enter"]}),
        # The entry comes again, for what it has not seen.
        ("a result", {"a": "planned", "b": "planned", "jobs": ["enter", "step", "step"]}),
        ("an old row", {"a": "planned", "b": "planned", "jobs": ["step", "step"]}),
        ("an open row", {"a": "planned", "b": "planned", "jobs": ["step", "step"]}),
    ],
)
def test_what_an_entry_plans_when_something_happened(
    transactional_db: None, happening: str, left: dict[str, Any]
) -> None:
    entry = Entry.that_met(happening)

    outcomes.report(entry.leased, Discovered(ops=tuple(BRANCHES)), max_attempts=4)

    assert entry.rows == left
    steps = Step.objects.filter(run=entry.run)
    assert len(Job.objects.filter(step__in=steps)) == len(steps)
