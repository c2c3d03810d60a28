"""Reads live runs, grouped by function and by the steps that they have."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from django.utils import timezone

from inngest_django.drivers.rehearsal import KnownStep, Rehearsal, rehearse
from inngest_django.engine import transactions
from inngest_django.functions.function import Function
from inngest_django.models import Run, Step
from inngest_django.states import RUN_LIVE, STEP_OPEN, STEP_SETTLED, OpKind

_CHUNK = 500
# A step of the code that went away before is cancelled, and no part of the run any more.
_COUNTED = STEP_OPEN | STEP_SETTLED


@dataclasses.dataclass(slots=True)
class Group:
    """Live runs of one function with the same steps, done and open.

    Attributes:
        steps: Hashed id of each step, with whether it is open.
        count: How many runs.
        run_ids: Of the first so many of them.
    """

    function_id: str
    steps: frozenset[tuple[str, bool]]
    count: int = 0
    run_ids: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """What was read.

    Attributes:
        is_complete: Whether these are all live runs, not only the newest.
    """

    groups: list[Group]
    run_count: int
    is_complete: bool


def read(
    *,
    function_id: str | None,
    limit: int,
    sample: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Reading:
    """Read the newest live runs, some hundreds at a time.

    Args:
        limit: At most so many.
        sample: How many ids of a group's runs to keep.
        progress: Called with the number of runs read so far.
    """
    groups: dict[tuple[str, frozenset[tuple[str, bool]]], Group] = {}
    count = 0
    last: str | None = None
    while True:
        rows = Run.objects.filter(status__in=RUN_LIVE)
        if function_id is not None:
            rows = rows.filter(function_id=function_id)
        if last is not None:
            rows = rows.filter(pk__lt=last)
        size = min(_CHUNK, limit - count)
        # One more than wanted tells whether there are more.
        chunk = list(rows.order_by("-pk").values_list("pk", "function_id")[: size + 1])
        has_more, chunk = len(chunk) > size, chunk[:size]
        for run_id, owner, steps in _with_steps(chunk):
            group = groups.setdefault((owner, steps), Group(owner, steps))
            group.count += 1
            if len(group.run_ids) < sample:
                group.run_ids.append(run_id)
        count += len(chunk)
        progress(count)
        if not has_more or count >= limit:
            return Reading(list(groups.values()), count, not has_more)
        last = chunk[-1][0]


def _with_steps(
    chunk: list[tuple[str, str]],
) -> Iterator[tuple[str, str, frozenset[tuple[str, bool]]]]:
    steps: dict[str, set[tuple[str, bool]]] = {}
    rows = Step.objects.filter(run_id__in=[run_id for run_id, _ in chunk], status__in=_COUNTED)
    for run_id, hashed_id, status in rows.values_list("run_id", "hashed_id", "status"):
        steps.setdefault(run_id, set()).add((hashed_id, status in STEP_OPEN))
    for run_id, function_id in chunk:
        yield run_id, function_id, frozenset(steps.get(run_id, ()))


def known_steps(run_id: str) -> list[KnownStep]:
    """Return the steps of a run as a rehearsal takes them."""
    rows = Step.objects.filter(run_id=run_id, status__in=_COUNTED).order_by("revision", "pk")
    return [
        KnownStep(
            hashed_id=row.hashed_id,
            name=row.name,
            index=row.index,
            op=OpKind(row.op),
            is_open=row.is_open,
            value=row.output,
            error=row.error,
            revision=row.revision or 0,
        )
        for row in rows
    ]


def rehearse_run(function: Function, run_id: str, steps: list[KnownStep]) -> Rehearsal | None:
    """Rehearse a run's next entry, and roll back what its code writes; None if it is gone."""
    run = Run.objects.select_related("event").filter(pk=run_id).first()
    if run is None:
        return None
    events = [event.payload() for event in run.events]
    with transactions.all_rolled_back():
        return rehearse(
            function,
            run_id=run_id,
            events=events,
            steps=steps,
            time_zone=timezone.get_default_timezone(),
        )


def recent_names(function_id: str, *, runs: int = 100) -> frozenset[str]:
    """Return the names of steps that a function's newest runs recorded, ended ones too."""
    newest = Run.objects.filter(function_id=function_id).order_by("-pk")
    ids = list(newest.values_list("pk", flat=True)[:runs])
    names = Step.objects.filter(run_id__in=ids).values_list("name", flat=True)
    return frozenset(names.distinct())
