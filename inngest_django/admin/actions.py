"""Cancel and rerun: each calls one engine function per run and reports what came of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from inngest_django.engine import cancellation, runs
from inngest_django.errors import InngestError
from inngest_django.models import Run

# One request must end before a web server gives up on it.
ACTION_LIMIT = 1_000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What an action did.

    Attributes:
        won: Ids of the runs it acted on.
        made: Ids of the runs it started.
        refused: Sentences about the others.
        lost_count: Runs that it did not act on.
    """

    won: Sequence[str] = ()
    made: Sequence[str] = ()
    refused: Sequence[str] = ()
    lost_count: int = 0


def cancel(request: HttpRequest, run_ids: Iterable[str], *, reason: str = "") -> Tally:
    """Cancel runs; those that ended meanwhile are lost, which is no error."""
    if not reason:
        reason = f"by {request.user.get_username()} in the admin"
    won, lost, refused = [], 0, []
    for run_id in run_ids:
        try:
            done = cancellation.cancel(run_id, reason=reason)
        except InngestError as error:
            done = False
            refused.append(f"{run_id}: {error}")
        if done:
            won.append(run_id)
        else:
            lost += 1
    _log(request, won, reason)
    return Tally(won=won, lost_count=lost, refused=refused)


def rerun(request: HttpRequest, run_ids: Iterable[str]) -> Tally:
    """Start new runs from the events of old ones."""
    won, made, refused = [], [], []
    for run_id in run_ids:
        try:
            made.append(runs.rerun(run_id))
        except InngestError as error:
            refused.append(f"{run_id}: {error}")
        else:
            won.append(run_id)
    _log(request, won, "Rerun in the admin")
    return Tally(won=won, made=made, refused=refused, lost_count=len(refused))


def report_cancelled(request: HttpRequest, tally: Tally) -> None:
    """Tell how many runs were cancelled and how many were not."""
    count, lost = len(tally.won), tally.lost_count
    if count:
        text = ngettext("%(count)d run was cancelled.", "%(count)d runs were cancelled.", count)
        messages.success(request, text % {"count": count})
    if lost:
        text = ngettext(
            "%(count)d run was not cancelled: it had already ended.",
            "%(count)d runs were not cancelled: they had already ended.",
            lost,
        )
        messages.warning(request, text % {"count": lost})
    _report_refused(request, tally)


def report_rerun(request: HttpRequest, tally: Tally) -> None:
    """Tell how many runs were started and how many could not be."""
    count, lost = len(tally.won), tally.lost_count
    if count:
        text = ngettext("%(count)d new run was started.", "%(count)d new runs were started.", count)
        messages.success(request, text % {"count": count})
    if lost:
        text = ngettext("%(count)d run was not rerun.", "%(count)d runs were not rerun.", lost)
        messages.warning(request, text % {"count": lost})
    _report_refused(request, tally)


def report_limit(request: HttpRequest) -> None:
    """Tell that only the first of the chosen runs were looked at."""
    text = _("Only the first %(count)d of the chosen runs were handled; repeat the action.")
    messages.warning(request, text % {"count": ACTION_LIMIT})


def _report_refused(request: HttpRequest, tally: Tally) -> None:
    for sentence in tally.refused[:5]:
        messages.error(request, sentence)


def _log(request: HttpRequest, run_ids: Sequence[str], text: str) -> None:
    """Keep who did it in the admin's own history."""
    rows = Run.objects.filter(pk__in=run_ids).only("id", "function_id")
    if run_ids:
        LogEntry.objects.log_actions(
            user_id=request.user.pk or 0,
            queryset=rows,
            action_flag=CHANGE,
            change_message=text,
        )
