"""The run page as plain data: steps in order, drawn on the run's span of time."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Q
from django.utils.translation import gettext as _

from inngest_django.admin import payloads
from inngest_django.admin.base import Link
from inngest_django.admin.payloads import ErrorText, Payload
from inngest_django.durations import format_duration
from inngest_django.models import Attempt, Job, Run, Step, Wait
from inngest_django.states import StepStatus

# Units of the drawing, whatever its width on the page.
WIDTH = 1000.0
# Narrower bars could not be seen.
MIN_WIDTH = 4.0
STEPS_PER_PAGE = 200
ROW_LIMIT = 500
TICK_COUNT = 5


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Maps moments of a run to the drawing."""

    start: dt.datetime
    end: dt.datetime

    def x(self, moment: dt.datetime) -> float:
        """Return the place of a moment, inside the drawing."""
        span = (self.end - self.start).total_seconds()
        if span <= 0:
            return 0.0
        return WIDTH * min(max((moment - self.start).total_seconds() / span, 0.0), 1.0)

    def ticks(self) -> list[str]:
        """Return the labels under the drawing, evenly spread."""
        span = self.end - self.start
        return [span_text(span * i / (TICK_COUNT - 1)) for i in range(TICK_COUNT)]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One stretch of time. ``x`` and ``width`` are texts, safe from localisation."""

    x: str
    width: str
    kind: str
    title: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AttemptView:
    """A failed attempt."""

    number: int
    started_at: dt.datetime | None
    ended_at: dt.datetime
    duration: str
    error: ErrorText | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WaitView:
    """A subscription: of a step, or a cancel rule."""

    kind: str
    status: str
    event_name: str
    expression: str
    expires_at: dt.datetime | None
    matched_id: str
    matched_url: str
    url: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class JobView:
    """A piece of work that is due at a time."""

    id: int
    kind: str
    step: str
    available_at: dt.datetime
    attempt: int
    leased_until: dt.datetime | None
    owner: str
    note: str
    url: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunLink:
    """Another run: parent, child, original or rerun."""

    id: str
    function_id: str
    status: str
    url: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StepView:
    """A step and everything that belongs to it."""

    id: int
    name: str
    op: str
    status: str
    status_label: str
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    offset: str
    duration: str
    attempt_count: int
    bars: Sequence[Bar]
    input: Payload | None
    output: Payload | None
    error: ErrorText | None
    attempts: Sequence[AttemptView]
    waits: Sequence[WaitView]
    job: JobView | None
    children: Sequence[RunLink]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """The steps of one run on one page."""

    steps: Sequence[StepView]
    ticks: Sequence[str]
    page: Page[Any]
    function_attempts: Sequence[AttemptView]
    cancel_rules: Sequence[WaitView]
    jobs: Sequence[JobView]


def build(
    run: Run, *, now: dt.datetime, link: Link, raw_url: str, page_number: str = "1"
) -> Timeline:
    """Return the timeline, with the same number of queries for every run.

    Args:
        link: Gives the address of a row by model name and key.
        raw_url: Where whole values are; the part and the step are added to it.
    """
    rows = run.steps.defer("input", "output").annotate(**payloads.columns("input", "output"))
    page = Paginator(rows.order_by("id"), STEPS_PER_PAGE).get_page(page_number)
    steps: list[Step] = list(page.object_list)
    shown = [step.pk for step in steps]
    attempts = _by_step(run.attempts.filter(_of(shown)).order_by("id")[:ROW_LIMIT])
    waits = _by_step(run.waits.filter(_of(shown)).order_by("id")[:ROW_LIMIT])
    jobs = list(run.jobs.select_related("step").defer(*_VALUES).order_by("id")[:ROW_LIMIT])
    job_of = {job.step_id: job_view(job, link=link) for job in jobs if job.step_id is not None}
    children: dict[int | None, list[RunLink]] = {}
    invoked = Run.objects.filter(parent__in=shown).defer("output", "error").order_by("id")
    for child in invoked[:ROW_LIMIT]:
        children.setdefault(child.parent_id, []).append(run_link(child, link=link))
    scale = Scale(start=run.queued_at, end=_end_of(run, steps, now=now))
    return Timeline(
        steps=[
            _step_view(
                step,
                scale=scale,
                attempts=attempts.get(step.pk, ()),
                waits=[wait_view(wait, link=link) for wait in waits.get(step.pk, ())],
                job=job_of.get(step.pk),
                children=children.get(step.pk, ()),
                raw_url=raw_url,
            )
            for step in steps
        ],
        ticks=scale.ticks(),
        page=page,
        function_attempts=[attempt_view(row) for row in attempts.get(None, ())],
        cancel_rules=[wait_view(row, link=link) for row in waits.get(None, ())],
        jobs=[job_view(job, link=link) for job in jobs],
    )


_VALUES = ("step__input", "step__output", "step__error")


def _of(shown: Sequence[int]) -> Q:
    return Q(step__in=shown) | Q(step__isnull=True)


def _by_step(rows: Iterable[Any]) -> dict[int | None, list[Any]]:
    grouped: dict[int | None, list[Any]] = {}
    for row in rows:
        grouped.setdefault(row.step_id, []).append(row)
    return grouped


def _end_of(run: Run, steps: Sequence[Step], *, now: dt.datetime) -> dt.datetime:
    if run.ended_at is None:
        queued_at: dt.datetime = run.queued_at
        return max(now, queued_at)
    # The host's clock dates bodies, the database's clock dates the end of the run.
    ends: list[dt.datetime] = [step.ended_at for step in steps if step.ended_at is not None]
    ends.append(run.ended_at)
    return max(ends)


def _step_view(
    step: Step,
    *,
    scale: Scale,
    attempts: Sequence[Attempt],
    waits: Sequence[WaitView],
    job: JobView | None,
    children: Sequence[RunLink],
    raw_url: str,
) -> StepView:
    raw = f"{raw_url}?step={step.pk}&part="
    return StepView(
        id=step.pk,
        name=str(step),
        op=step.op,
        status=step.status,
        status_label=step.get_status_display(),
        started_at=step.started_at,
        ended_at=step.ended_at,
        offset="" if step.started_at is None else f"+{span_text(step.started_at - scale.start)}",
        duration=duration_text(step.started_at, step.ended_at or scale.end),
        attempt_count=step.attempt_count,
        bars=bars(step, attempts, scale=scale),
        input=payloads.from_row(step, "input", url=f"{raw}input"),
        output=payloads.from_row(step, "output", url=f"{raw}output"),
        error=payloads.error_text(step.error),
        attempts=[attempt_view(row) for row in attempts],
        waits=waits,
        job=job,
        children=children,
    )


def bars(step: Step, attempts: Sequence[Attempt], *, scale: Scale) -> list[Bar]:
    """Return the stretches of a step, the later ones on top.

    From its beginning to its end, and each failed attempt inside; what still goes on reaches
    to the end of the drawing.
    """
    started = step.started_at
    if started is None:
        started = step.ended_at
    starts = [row.started_at for row in attempts if row.started_at is not None]
    if starts and (started is None or min(starts) < started):
        # The row may hold the beginning of its latest try.
        started = min(starts)
    if started is None:
        return []
    ended = step.ended_at or scale.end
    text = f"{step.get_status_display()}, {span_text(ended - started)}"
    drawn = [_bar(started, ended, kind=step.status, title=text, scale=scale)]
    for row in attempts:
        begun = row.started_at or row.ended_at
        title = _("attempt %(number)s failed") % {"number": row.number}
        drawn.append(_bar(begun, row.ended_at, kind="attempt", title=title, scale=scale))
    if attempts and step.ended_at is not None and step.status == StepStatus.COMPLETED:
        # When the try that succeeded began is not recorded, only that it ended here.
        begun = step.ended_at
        drawn[0] = _bar(started, ended, kind="backoff", title=text, scale=scale)
        drawn.append(_bar(begun, ended, kind=step.status, title=text, scale=scale))
    return drawn


def _bar(start: dt.datetime, end: dt.datetime, *, kind: str, title: str, scale: Scale) -> Bar:
    left = min(scale.x(start), WIDTH - MIN_WIDTH)
    width = max(scale.x(end) - left, MIN_WIDTH)
    return Bar(x=f"{left:.1f}", width=f"{min(width, WIDTH - left):.1f}", kind=kind, title=title)


def attempt_view(row: Attempt) -> AttemptView:
    """Return a failed attempt for display."""
    return AttemptView(
        number=row.number,
        started_at=row.started_at,
        ended_at=row.ended_at,
        duration=duration_text(row.started_at, row.ended_at),
        error=payloads.error_text(row.error),
    )


def wait_view(row: Wait, *, link: Link) -> WaitView:
    """Return a subscription for display."""
    matched = row.matched_event_id
    return WaitView(
        kind=row.get_kind_display(),
        status=row.status,
        event_name=row.event_name,
        expression=row.expression,
        expires_at=row.expires_at,
        matched_id=matched or "",
        matched_url=link("event", matched) if matched else "",
        url=link("wait", row.pk),
    )


def job_view(row: Job, *, link: Link) -> JobView:
    """Return a job for display."""
    return JobView(
        id=row.pk,
        kind=row.get_kind_display(),
        step="" if row.step is None else str(row.step),
        available_at=row.available_at,
        attempt=row.attempt,
        leased_until=row.leased_until,
        owner=row.lease_owner,
        note=row.note,
        url=link("job", row.pk),
    )


def run_link(run: Run, *, link: Link) -> RunLink:
    """Return another run as a link."""
    return RunLink(
        id=run.pk, function_id=run.function_id, status=run.status, url=link("run", run.pk)
    )


def duration_text(start: dt.datetime | None, end: dt.datetime | None) -> str:
    """Return the time between two moments, or nothing while one is missing."""
    return "" if start is None or end is None else span_text(end - start)


def span_text(span: dt.timedelta) -> str:
    """Return a length of time as ``12 ms``, ``3.21 s`` or ``1h30m``."""
    seconds = max(span.total_seconds(), 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    return format_duration(dt.timedelta(seconds=round(seconds)))
