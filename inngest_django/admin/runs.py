"""Runs: the list, the page of one run, and its two actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from inngest_django import clock
from inngest_django.admin import actions, payloads, search, timeline
from inngest_django.admin.base import ReadOnlyAdmin, RecentFilter, anchor, badge, short_time
from inngest_django.engine import explanation
from inngest_django.models import Event, Function, Run, Step

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

FUNCTION_CHOICES = 100
RELATED_LIMIT = 20
_EVENT_VALUES = ("event__data", "event__user")
_RAW_STEP_PARTS = ("input", "output", "error")


class QueuedFilter(RecentFilter):
    """Runs queued lately."""

    title = _("time queued")
    column = "queued_at"


class FunctionFilter(admin.SimpleListFilter):
    """Runs of one function; an id that is not offered works in the address too."""

    title: str | _StrPromise = _("function")
    parameter_name = "function"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the registered functions."""
        ids = Function.objects.order_by("id").values_list("id", flat=True)
        return [(function_id, function_id) for function_id in ids[:FUNCTION_CHOICES]]

    def has_output(self) -> bool:
        """Return whether there is anything to filter by."""
        return bool(self.lookup_choices) or self.value() is not None

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Return the function's runs."""
        chosen = self.value()
        return queryset if chosen is None else queryset.filter(function_id=chosen)


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin[Run]):
    """Executions of functions, newest first."""

    actions = ("cancel_selected", "rerun_selected")
    change_form_template = "admin/inngest_django/run/change_form.html"
    list_display = ("state", "function_id", "trigger", "queued", "took", "run_id")
    list_display_links = ("function_id", "run_id")
    list_filter = ("status", FunctionFilter, QueuedFilter)
    search_fields = ("id",)
    search_help_text = _("A run id or event id, or the beginning of a function id or event name.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        """Return runs with what a list shows, without their values."""
        rows = super().get_queryset(request).select_related("event")
        return rows.defer("output", "error", "event_ids", *_EVENT_VALUES)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Run], search_term: str
    ) -> tuple[QuerySet[Run], bool]:
        """Return the runs that a term names."""
        term = search_term.strip()
        return (queryset.filter(search.runs(term)) if term else queryset), False

    @admin.display(description=_("run"), ordering="pk")
    def run_id(self, run: Run) -> SafeString:
        """Show the id."""
        return format_html('<span class="inngest-id">{}</span>', run.pk)

    @admin.display(description=_("queued"))
    def queued(self, run: Run) -> str:
        """Show when it was queued, to the second."""
        return short_time(run.queued_at)

    @admin.display(description=_("status"))
    def state(self, run: Run) -> SafeString:
        """Show the status as a label."""
        return badge(run.status, run.get_status_display())

    @admin.display(description=_("event"))
    def trigger(self, run: Run) -> SafeString:
        """Show the first event with a link."""
        return anchor(self.link("event", run.event_id), run.event.name)

    @admin.display(description=_("duration"))
    def took(self, run: Run) -> str:
        """Show how long it took, or has taken."""
        if run.started_at is None:
            return ""
        return timeline.duration_text(run.started_at, run.ended_at or clock.now())

    # Permissions ------------------------------------------------------------------------

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Return whether the person may cancel runs."""
        return request.user.has_perm("inngest_django.cancel_run")

    def has_rerun_permission(self, request: HttpRequest) -> bool:
        """Return whether the person may rerun runs."""
        return request.user.has_perm("inngest_django.rerun_run")

    # Actions ----------------------------------------------------------------------------

    @admin.action(description=_("Cancel selected runs"), permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Cancel the chosen runs."""
        chosen = self._chosen(request, queryset)
        actions.report_cancelled(request, actions.cancel(request, chosen))

    @admin.action(description=_("Rerun selected runs"), permissions=["rerun"])
    def rerun_selected(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Start each chosen run again from its events."""
        chosen = self._chosen(request, queryset)
        actions.report_rerun(request, actions.rerun(request, chosen))

    def _chosen(self, request: HttpRequest, queryset: QuerySet[Run]) -> list[str]:
        # Oldest first, so that reruns keep the order of what they repeat.
        newest = queryset.order_by("-pk").values_list("pk", flat=True)
        chosen = list(newest[: actions.ACTION_LIMIT + 1])
        if len(chosen) > actions.ACTION_LIMIT:
            actions.report_limit(request)
        return chosen[: actions.ACTION_LIMIT][::-1]

    # Pages ------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        """Return the usual pages, the buttons' targets and the raw values."""

        def view(function: Any) -> Any:
            return self.admin_site.admin_view(function)

        return [
            path(
                "<path:object_id>/cancel/",
                view(require_POST(self.cancel_view)),
                name="inngest_django_run_cancel",
            ),
            path(
                "<path:object_id>/rerun/",
                view(require_POST(self.rerun_view)),
                name="inngest_django_run_rerun",
            ),
            path("<path:object_id>/raw/", view(self.raw_view), name="inngest_django_run_raw"),
            *super().get_urls(),
        ]

    def cancel_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Cancel one run: the button on its page."""
        run = self._visible(request, object_id, may=self.has_cancel_permission(request))
        reason = request.POST.get("reason", "").strip()[:500]
        actions.report_cancelled(request, actions.cancel(request, [run.pk], reason=reason))
        return HttpResponseRedirect(self.link("run", run.pk))

    def rerun_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Rerun one run, and go to the new one."""
        run = self._visible(request, object_id, may=self.has_rerun_permission(request))
        tally = actions.rerun(request, [run.pk])
        actions.report_rerun(request, tally)
        return HttpResponseRedirect(self.link("run", tally.made[0] if tally.made else run.pk))

    def raw_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return a stored value whole, as JSON."""
        run = self._visible(request, object_id)
        part, step_id = request.GET.get("part", ""), request.GET.get("step", "")
        row: QuerySet[Any]
        if step_id.isdecimal() and part in _RAW_STEP_PARTS:
            row = Step.objects.filter(pk=int(step_id), run=run)
        elif part in ("output", "error"):
            row = Run.objects.filter(pk=run.pk)
        elif part == "event":
            row, part = Event.objects.filter(pk=run.event_id), "data"
        else:
            raise Http404(f"A run has no part {part!r}; choose event, output or error.")
        return raw_response(row, part)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one run: what it waits for, its steps in time, its event and its result."""
        run = self._visible(request, object_id, annotations=payloads.columns("output"))
        raw_url = f"{self.link('run', run.pk).removesuffix('change/')}raw/"
        event = Event.objects.defer("data", "user").annotate(**payloads.columns("data"))
        view = timeline.build(
            run,
            now=clock.now(),
            link=self.link,
            raw_url=raw_url,
            page_number=request.GET.get("p", "1"),
        )
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": run.function_id,
            "original": run,
            "run": run,
            "why": explanation.why(run),
            "took": self.took(run),
            "event": event.get(pk=run.event_id),
            "event_url": self.link("event", run.event_id),
            "function_url": self.link("function", run.function_id),
            "output": payloads.from_row(run, "output", url=f"{raw_url}?part=output"),
            "error": payloads.error_text(run.error),
            "timeline": view,
            "parent": self._parent(run),
            "original_run": self._original(run),
            "reruns": self._reruns(run),
            "may_cancel": run.is_live and self.has_cancel_permission(request),
            "may_rerun": self.has_rerun_permission(request),
            **(extra_context or {}),
        }
        context["event_data"] = payloads.from_row(
            context["event"], "data", url=f"{raw_url}?part=event"
        )
        context["other_events"] = [
            (event_id, self.link("event", event_id)) for event_id in (run.event_ids or [])[1:50]
        ]
        request.current_app = self.admin_site.name
        return TemplateResponse(request, self.change_form_template, context)

    def _visible(
        self,
        request: HttpRequest,
        object_id: str,
        *,
        may: bool = True,
        annotations: dict[str, Any] | None = None,
    ) -> Run:
        if not may or not self.has_view_permission(request):
            raise PermissionDenied
        key = unquote(object_id)
        rows = Run.objects.defer("output").annotate(**(annotations or {}))
        return self.found(rows, key)

    def _parent(self, run: Run) -> timeline.RunLink | None:
        parents = Run.objects.filter(steps=run.parent_id).defer("output", "error")
        parent = parents.first() if run.parent_id else None
        return None if parent is None else timeline.run_link(parent, link=self.link)

    def _original(self, run: Run) -> timeline.RunLink | None:
        originals = Run.objects.filter(pk=run.original_run_id).defer("output", "error")
        original = originals.first() if run.original_run_id else None
        return None if original is None else timeline.run_link(original, link=self.link)

    def _reruns(self, run: Run) -> list[timeline.RunLink]:
        rows = run.reruns.defer("output", "error").order_by("-pk")[:RELATED_LIMIT]
        return [timeline.run_link(row, link=self.link) for row in rows]


def raw_response(row: QuerySet[Any], column: str) -> HttpResponse:
    """Return one JSON column as it is stored, as text that no browser interprets."""
    cast = models.functions.Cast(column, models.TextField())
    text = row.annotate(raw_text=cast).values_list("raw_text", flat=True).first()
    if text is None:
        raise Http404(f"Nothing is stored in {column}.")
    response = HttpResponse(text, content_type="application/json")
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'"
    return response


def run_badges(runs: list[Run], *, link: Any, limit: int = 5) -> SafeString:
    """Return short links to runs, coloured by status."""
    shown = format_html_join(
        " ",
        '<a class="inngest-status inngest-status--{}" href="{}">{}</a>',
        ((run.status, link("run", run.pk), run.function_id) for run in runs[:limit]),
    )
    more = len(runs) - limit
    return shown if more <= 0 else format_html("{} +{}", shown, more)
