"""Jobs: what is due when, and who holds it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from inngest_django import clock
from inngest_django.admin import search
from inngest_django.admin.base import ReadOnlyAdmin, anchor, badge, short_time
from inngest_django.models import Job


class DueFilter(admin.SimpleListFilter):
    """Jobs by what they wait for."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the states."""
        return [("leased", _("Leased")), ("due", _("Due")), ("later", _("Later"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Return the jobs of the chosen state."""
        now = clock.now()
        if self.value() == "leased":
            return queryset.filter(lease_token__isnull=False, leased_until__gt=now)
        if self.value() == "due":
            return queryset.filter(available_at__lte=now).exclude(leased_until__gt=now)
        if self.value() == "later":
            return queryset.filter(available_at__gt=now)
        return queryset


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin[Job]):
    """Outstanding work; a job ends by being deleted."""

    fields = (
        "run_link", "step", "kind", "function_id", "available_at", "attempt", "state",
        "leased_until", "lease_owner", "is_draining", "loss_count", "free_loss_count",
        "next_hint_at", "hint_count", "note",
    )  # fmt: skip
    list_display = (
        "kind", "state", "function_id", "step", "due", "attempt", "note", "run_link",
    )  # fmt: skip
    list_display_links = ("kind",)
    list_filter = ("kind", DueFilter)
    search_fields = ("id",)
    search_help_text = _("A run id, or the beginning of a function id.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        """Return jobs with what a list shows."""
        rows = super().get_queryset(request).select_related("step")
        return rows.defer("step__input", "step__output", "step__error")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Job], search_term: str
    ) -> tuple[QuerySet[Job], bool]:
        """Return the jobs that a term names."""
        term = search_term.strip()
        return (queryset.filter(search.by_run_or_function(term)) if term else queryset), False

    @admin.display(description=_("run"))
    def run_link(self, job: Job) -> SafeString:
        """Link to the run."""
        return anchor(self.link("run", job.run_id), job.run_id)

    @admin.display(description=_("due"), ordering="available_at")
    def due(self, job: Job) -> str:
        """Show when it is due, to the second."""
        return short_time(job.available_at)

    @admin.display(description=_("state"))
    def state(self, job: Job) -> SafeString:
        """Show whether a worker holds it, it is due, or it is for later."""
        now = clock.now()
        if job.leased_until is not None and job.leased_until > now:
            return badge("running", _("leased"))
        if job.available_at <= now:
            return badge("planned", _("due"))
        return badge("waiting", _("later"))
