"""What a run is waiting for, in one sentence."""

from __future__ import annotations

import datetime as dt

from django.utils.translation import gettext as _

from inngest_django.durations import format_duration
from inngest_django.engine import transactions
from inngest_django.models import Job, Run
from inngest_django.states import JobKind, RunStatus

_SHOWN = 3


def why(run: Run) -> str:
    """Return one sentence that says why a run stands as it does."""
    if not run.is_live:
        return _ended(run)
    now = transactions.now()
    jobs = list(Job.objects.filter(run=run).select_related("step").order_by("available_at")[:50])
    if not jobs:
        return _("Stuck: it has no job that would move it. Run inngest_doctor.")
    sentences = [_job(job, now=now) for job in jobs[:_SHOWN]]
    more = len(jobs) - _SHOWN
    text = "; ".join(sentences)
    if more > 0:
        text += _("; and %(count)d more pieces") % {"count": more}
    return text[:1].upper() + text[1:] + "."


def _ended(run: Run) -> str:
    word = {
        RunStatus.COMPLETED: _("Completed"),
        RunStatus.FAILED: _("Failed"),
        RunStatus.CANCELLED: _("Cancelled"),
        RunStatus.SKIPPED: _("Skipped"),
    }[RunStatus(run.status)]
    return f"{word}: {run.reason}." if run.reason else f"{word}."


def _job(job: Job, *, now: dt.datetime) -> str:
    step = str(job.step) if job.step is not None else ""
    if job.note:
        return job.note
    if job.lease_token is not None and job.leased_until is not None:
        if job.leased_until > now:
            return _("%(what)s is being run by worker %(owner)s") % {
                "what": _what(job, step),
                "owner": job.lease_owner,
            }
        return _("%(what)s waits for another worker: %(owner)s died or hung") % {
            "what": _what(job, step),
            "owner": job.lease_owner,
        }
    if job.available_at <= now:
        return _("%(what)s is due and waits for a worker") % {"what": _what(job, step)}
    left = format_duration(dt.timedelta(seconds=round((job.available_at - now).total_seconds())))
    values = {"step": step, "left": left, "at": job.available_at.isoformat(timespec="seconds")}
    if job.kind == JobKind.SLEEP:
        return _("sleeps in step %(step)s until %(at)s (%(left)s)") % values
    if job.kind == JobKind.WAIT:
        values["event"] = (job.step.input or {}).get("event", "") if job.step else ""
        return _("step %(step)s waits for event %(event)s until %(at)s (%(left)s)") % values
    if job.kind == JobKind.INVOKE:
        values["function"] = (job.step.input or {}).get("function_id", "") if job.step else ""
        return _("step %(step)s waits for function %(function)s to end") % values
    if job.attempt:
        values["what"] = _what(job, step)
        values["attempt"] = str(job.attempt + 1)
        return _("%(what)s failed and is tried again in %(left)s (attempt %(attempt)s)") % values
    return _("its start is scheduled for %(at)s (%(left)s)") % values


def _what(job: Job, step: str) -> str:
    if job.kind == JobKind.ENTER:
        return _("the function")
    return _("step %(step)s") % {"step": step}
