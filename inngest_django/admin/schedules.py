"""Schedules: what the clock starts, and when next."""

from __future__ import annotations

import datetime as dt
from urllib.parse import urlencode

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from inngest_django import clock, crons
from inngest_django.admin.base import ReadOnlyAdmin, anchor, badge, short_time
from inngest_django.durations import format_duration
from inngest_django.engine import schedules
from inngest_django.models import Schedule

UPCOMING = 5


@admin.register(Schedule)
class ScheduleAdmin(ReadOnlyAdmin[Schedule]):
    """One row for each cron trigger of a function."""

    fields = (
        "function_link", "cron", "jitter", "state", "next_at", "fires_at", "upcoming", "last_at",
        "registered_at", "runs",
    )  # fmt: skip
    list_display = ("cron", "function_link", "next_time", "left", "last_time", "state", "runs")
    list_display_links = ("cron",)
    ordering = ("fires_at",)
    search_fields = ("function_id",)
    search_help_text = _("Part of a function's id.")

    @admin.display(description=_("function"))
    def function_link(self, schedule: Schedule) -> SafeString:
        """Link to the function that it starts."""
        return anchor(self.link("function", schedule.function_id), schedule.function_id)

    @admin.display(description=_("status"))
    def state(self, schedule: Schedule) -> SafeString:
        """Show whether anybody would run it: on, or for how long nobody has declared it."""
        away = clock.now() - schedule.registered_at
        if away < schedules.ALIVE_FOR:
            return badge("running", _("on"))
        text = _("no process has it since %(time)s") % {"time": _shown(away)}
        return badge("cancelled", text)

    @admin.display(description=_("next"), ordering="fires_at")
    def next_time(self, schedule: Schedule) -> str:
        """Show its next time, to the second."""
        return short_time(schedule.next_at)

    @admin.display(description=_("in"))
    def left(self, schedule: Schedule) -> str:
        """Show how long that is from now."""
        left = schedule.fires_at - clock.now()
        return _shown(left) if left > dt.timedelta() else str(_("due"))

    @admin.display(description=_("last"))
    def last_time(self, schedule: Schedule) -> str:
        """Show the last time for which it started a run."""
        return short_time(schedule.last_at)

    @admin.display(description=_("the next times"))
    def upcoming(self, schedule: Schedule) -> SafeString:
        """Show the times to come, in the person's zone."""
        try:
            later = crons.upcoming(schedule.cron, schedule.next_at, UPCOMING - 1)
        except ValueError as error:
            # A zone that this host does not know.
            return badge("failed", str(error))
        rows = ((short_time(moment),) for moment in [schedule.next_at, *later])
        return format_html_join("", "<div>{}</div>", rows)

    @admin.display(description=_("runs"))
    def runs(self, schedule: Schedule) -> SafeString:
        """Link to the function's runs."""
        url = reverse("admin:inngest_django_run_changelist", current_app=self.admin_site.name)
        return anchor(f"{url}?{urlencode({'function': schedule.function_id})}", _("Show"))


def _shown(duration: dt.timedelta) -> str:
    return format_duration(dt.timedelta(seconds=max(0, round(duration.total_seconds()))))
