"""Events, the runs they started and the waits they ended."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from inngest_django.admin import payloads, search, timeline
from inngest_django.admin.base import ReadOnlyAdmin, RecentFilter, short_time
from inngest_django.admin.runs import raw_response, run_badges
from inngest_django.models import Event, Run

ROW_LIMIT = 200


class ReceivedFilter(RecentFilter):
    """Events received lately."""

    title = _("time received")
    column = "received_at"


class RoutedFilter(admin.SimpleListFilter):
    """Events that are routed, or not yet."""

    title = _("routing")
    parameter_name = "routed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the two states."""
        return [("no", _("Not routed yet")), ("yes", _("Routed"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Return the events of the chosen state."""
        if self.value() not in ("no", "yes"):
            return queryset
        return queryset.filter(routed_at__isnull=self.value() == "no")


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin[Event]):
    """Accepted events, newest first."""

    change_form_template = "admin/inngest_django/event/change_form.html"
    list_display = ("name", "received", "is_routed", "started", "external_id", "event_id")
    list_display_links = ("name", "event_id")
    list_filter = (RoutedFilter, ReceivedFilter)
    search_fields = ("id",)
    search_help_text = _("An event id, the sender's id, or the beginning of a name.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        """Return events without their values, with the runs they started."""
        runs = Run.objects.only("id", "status", "function_id", "event_id").order_by("pk")
        rows = super().get_queryset(request).defer("data", "user")
        return rows.prefetch_related(Prefetch("runs", queryset=runs, to_attr="started_runs"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        """Return the events that a term names."""
        term = search_term.strip()
        return (queryset.filter(search.events(term)) if term else queryset), False

    @admin.display(description=_("event"), ordering="pk")
    def event_id(self, event: Event) -> SafeString:
        """Show the id."""
        return format_html('<span class="inngest-id">{}</span>', event.pk)

    @admin.display(description=_("received"))
    def received(self, event: Event) -> str:
        """Show when it was received, to the second."""
        return short_time(event.received_at)

    @admin.display(description=_("routed"), boolean=True)
    def is_routed(self, event: Event) -> bool:
        """Show whether its runs were started."""
        return event.routed_at is not None

    @admin.display(description=_("runs started"))
    def started(self, event: Any) -> SafeString:
        """Show the runs with links."""
        return run_badges(event.started_runs, link=self.link)

    def get_urls(self) -> list[URLPattern]:
        """Return the usual pages and the raw values."""
        raw = self.admin_site.admin_view(self.raw_view)
        return [
            path("<path:object_id>/raw/", raw, name="inngest_django_event_raw"),
            *super().get_urls(),
        ]

    def raw_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return the event's data or user whole, as JSON."""
        event = self._visible(request, object_id)
        part = request.GET.get("part", "")
        if part not in ("data", "user"):
            raise Http404(f"An event has no part {part!r}; choose data or user.")
        return raw_response(Event.objects.filter(pk=event.pk), part)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one event: its payload and everything it caused."""
        event = self._visible(request, object_id)
        raw_url = f"{self.link('event', event.pk).removesuffix('change/')}raw/"
        runs = event.runs.defer("output", "error").order_by("pk")[:ROW_LIMIT]
        waits = event.matched_waits.select_related("run", "step").defer(
            "run__output", "run__error", "step__input", "step__output", "step__error"
        )
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": event.name,
            "original": event,
            "event": event,
            "data": payloads.from_row(event, "data", url=f"{raw_url}?part=data"),
            "user_data": payloads.from_row(event, "user", url=f"{raw_url}?part=user"),
            "runs": [(timeline.run_link(run, link=self.link), run) for run in runs],
            "waits": [
                (timeline.wait_view(wait, link=self.link), wait, self.link("run", wait.run_id))
                for wait in waits.order_by("pk")[:ROW_LIMIT]
            ],
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, self.change_form_template, context)

    def _visible(self, request: HttpRequest, object_id: str) -> Event:
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = Event.objects.defer("data", "user").annotate(**payloads.columns("data", "user"))
        return self.found(rows, unquote(object_id))
