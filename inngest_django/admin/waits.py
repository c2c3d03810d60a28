"""Waits: which events runs wait for."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from inngest_django.admin import search
from inngest_django.admin.base import ReadOnlyAdmin, anchor, badge, short_time
from inngest_django.models import Wait
from inngest_django.serialization import dumps


@admin.register(Wait)
class WaitAdmin(ReadOnlyAdmin[Wait]):
    """Subscriptions of steps, and cancel rules of runs."""

    fields = (
        "run_link", "step", "kind", "status", "event_name", "expression", "constants_text",
        "floor_seq", "created_at", "expires_at", "closed_at", "matched_link",
    )  # fmt: skip
    list_display = (
        "state", "kind", "event_name", "expression", "run_link", "step", "expires", "matched_link",
    )  # fmt: skip
    list_display_links = ("event_name",)
    list_filter = ("status", "kind")
    search_fields = ("id",)
    search_help_text = _("A run id or a whole event name.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Wait]:
        """Return waits with what a list shows."""
        rows = super().get_queryset(request).select_related("run", "step")
        return rows.defer("run__output", "run__error", "step__input", "step__output", "step__error")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Wait], search_term: str
    ) -> tuple[QuerySet[Wait], bool]:
        """Return the waits that a term names."""
        term = search_term.strip()
        return (queryset.filter(search.by_run_or_name(term)) if term else queryset), False

    @admin.display(description=_("status"))
    def state(self, wait: Wait) -> SafeString:
        """Show the status as a label."""
        return badge(wait.status, wait.get_status_display())

    @admin.display(description=_("expires"))
    def expires(self, wait: Wait) -> str:
        """Show when it gives up, to the second."""
        return short_time(wait.expires_at)

    @admin.display(description=_("run"))
    def run_link(self, wait: Wait) -> SafeString:
        """Link to the run that waits."""
        return anchor(self.link("run", wait.run_id), wait.run.function_id)

    @admin.display(description=_("matched event"))
    def matched_link(self, wait: Wait) -> str:
        """Link to the event that ended it."""
        matched = wait.matched_event_id
        return anchor(self.link("event", matched), matched) if matched else ""

    @admin.display(description=_("constants"))
    def constants_text(self, wait: Wait) -> str:
        """Show the parts of the run's own event that the expression reads."""
        return dumps(wait.constants)
