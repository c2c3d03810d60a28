"""Functions: triggers, options, and whether this process knows them."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from inngest_django.admin import timeline
from inngest_django.admin.base import ReadOnlyAdmin, anchor
from inngest_django.engine import schedules, transactions
from inngest_django.functions import registry
from inngest_django.models import Function, Run
from inngest_django.serialization import dumps

RECENT_LIMIT = 20
# Shown elsewhere on the page, or about how a remote worker is reached.
_NOT_OPTIONS = ("id", "name", "triggers", "steps")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TriggerView:
    """One way in which a function starts; ``next_at`` of a schedule that is on."""

    kind: str
    value: str
    expression: str
    next_at: dt.datetime | None = None


def triggers(config: Any, next_times: Mapping[str, dt.datetime] | None = None) -> list[TriggerView]:
    """Return the triggers of a stored configuration; times come by schedule."""
    found = []
    for trigger in _mapping(config).get("triggers") or ():
        is_cron = bool(trigger.get("cron"))
        found.append(
            TriggerView(
                kind="cron" if is_cron else "event",
                value=str(trigger.get("cron") or trigger.get("event") or ""),
                expression=str(trigger.get("expression") or ""),
                next_at=(next_times or {}).get(trigger.get("cron") or ""),
            )
        )
    return found


def options(config: Any) -> list[tuple[str, str]]:
    """Return the options of a stored configuration as names and JSON texts."""
    values = _mapping(config)
    retries = ((values.get("steps") or {}).get("step") or {}).get("retries") or {}
    shown = [("retries", str(retries["attempts"]))] if "attempts" in retries else []
    for key, value in values.items():
        if key not in _NOT_OPTIONS and value is not None:
            shown.append((key, dumps(value)))
    return shown


def _mapping(config: Any) -> Mapping[str, Any]:
    return config if isinstance(config, Mapping) else {}


def is_known(function_id: str) -> bool:
    """Return whether the code of this process has the function."""
    return registry.get(function_id) is not None


@admin.register(Function)
class FunctionAdmin(ReadOnlyAdmin[Function]):
    """What was last registered."""

    change_form_template = "admin/inngest_django/function/change_form.html"
    list_display = ("id", "name", "starts_on", "version", "in_code", "registered_at", "runs")
    list_display_links = ("id",)
    ordering = ("id",)
    search_fields = ("id", "name")

    @admin.display(description=_("triggers"))
    def starts_on(self, function: Function) -> SafeString:
        """Show event names and schedules."""
        rows = ((trigger.value,) for trigger in triggers(function.config))
        return format_html_join(" ", "<code>{}</code>", rows)

    @admin.display(description=_("in this code"), boolean=True)
    def in_code(self, function: Function) -> bool:
        """Show whether this process could run it."""
        return is_known(function.pk)

    @admin.display(description=_("runs"))
    def runs(self, function: Function) -> SafeString:
        """Link to its runs."""
        return anchor(self._runs_url(function), _("Show"))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one function: triggers, options and its latest runs."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        function = self.found(Function.objects.all(), unquote(object_id))
        recent: QuerySet[Run] = Run.objects.filter(function_id=function.pk)
        rows = recent.defer("output", "error").order_by("-pk")[:RECENT_LIMIT]
        rows_alive = schedules.alive(transactions.now()).filter(function_id=function.pk)
        next_times = dict(rows_alive.values_list("cron", "next_at"))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": function.name or function.pk,
            "original": function,
            "function": function,
            "is_known": is_known(function.pk),
            "triggers": triggers(function.config, next_times),
            "options": options(function.config),
            "runs": [(timeline.run_link(run, link=self.link), run) for run in rows],
            "runs_url": self._runs_url(function),
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, self.change_form_template, context)

    def _runs_url(self, function: Function) -> str:
        url = reverse("admin:inngest_django_run_changelist", current_app=self.admin_site.name)
        return f"{url}?{urlencode({'function': function.pk})}"
