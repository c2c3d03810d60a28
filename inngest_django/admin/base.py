"""What every page of the admin shares: read-only, and no count of a whole table."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.core.paginator import Paginator
from django.db import models
from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import is_aware, localtime
from django.utils.translation import gettext_lazy as _

from inngest_django import clock
from inngest_django.ids import ulid_from_seed

M = TypeVar("M", bound=models.Model)

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

    class _ModelAdmin(admin.ModelAdmin[M]): ...

    class _Paginator(Paginator[Any]): ...
else:
    # Not subscriptable when they run; ``ReadOnlyAdmin[Run]`` still reads well.
    class _ModelAdmin(admin.ModelAdmin):
        @classmethod
        def __class_getitem__(cls, _item: object) -> type:
            return cls

    _Paginator = Paginator

COUNT_LIMIT = 10_000

Key = str | int
Link = Callable[[str, Key], str]


class BoundedPaginator(_Paginator):
    """Counts at most ``COUNT_LIMIT`` rows; ``has_more`` tells that there are more.

    Counting a table of millions takes longer than anybody waits for a page that shows the
    newest fifty; older rows are reached with a filter or a search.
    """

    @functools.cached_property
    def _counted(self) -> int:
        rows = self.object_list
        if isinstance(rows, models.QuerySet):
            # No order: the database may stop at whichever rows it meets first.
            return rows.order_by()[: COUNT_LIMIT + 1].count()
        return len(rows)

    @functools.cached_property
    def count(self) -> int:
        """Rows that can be paged through."""
        return min(self._counted, COUNT_LIMIT)

    @property
    def has_more(self) -> bool:
        """Whether rows exist beyond the last page."""
        return self._counted > COUNT_LIMIT


class ReadOnlyAdmin(_ModelAdmin[M]):
    """A model that is looked at. ``engine`` is the only writer of its rows."""

    actions_on_top = True
    list_per_page = 50
    ordering: ClassVar[tuple[str, ...]] = ("-id",)
    paginator = BoundedPaginator
    # Facets would count the table once for each choice of each filter.
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False

    class Media:
        css = {"all": ["inngest_django/css/inngest-admin.css"]}

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: rows are made by the engine."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: what happened cannot be edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: old rows leave through ``inngest_prune``."""
        return False

    def link(self, model_name: str, key: Key) -> str:
        """Return the address of a row's page."""
        return row_url(self.admin_site.name, model_name, key)

    def found(self, queryset: models.QuerySet[M], object_id: str) -> M:
        """Return the row or answer 404.

        Raises:
            Http404: There is no such row (a malformed id included).
        """
        try:
            row = queryset.filter(pk=object_id).first()
        except ValueError:
            row = None
        if row is None:
            name = self.opts.verbose_name
            raise Http404(f"There is no {name} {object_id!r}; it may have been pruned.")
        return row


def row_url(site: str, model_name: str, key: Key) -> str:
    """Return the admin address of a row of this app."""
    name = f"admin:inngest_django_{model_name}_change"
    return reverse(name, args=[quote(key)], current_app=site)


def badge(status: str, label: object = None) -> SafeString:
    """Return a status as a coloured label."""
    return format_html(
        '<span class="inngest-status inngest-status--{}">{}</span>', status, label or status
    )


def short_time(moment: dt.datetime | None) -> SafeString | str:
    """Return a time in the person's zone to the second: dates in full fill a list."""
    if moment is None:
        return ""
    text = date_format(localtime(moment) if is_aware(moment) else moment, "Y-m-d H:i:s")
    return format_html('<span class="inngest-time">{}</span>', text)


def anchor(url: str, text: object) -> SafeString:
    """Return a link."""
    return format_html('<a href="{}">{}</a>', url, text)


class RecentFilter(admin.SimpleListFilter):
    """Rows of the last hour, day or week, found through the id: a ULID sorts by time."""

    title: str | _StrPromise = _("time")
    parameter_name = "since"
    spans = {
        "10m": (_("Last 10 minutes"), dt.timedelta(minutes=10)),
        "1h": (_("Last hour"), dt.timedelta(hours=1)),
        "24h": (_("Last 24 hours"), dt.timedelta(days=1)),
        "7d": (_("Last 7 days"), dt.timedelta(days=7)),
        "30d": (_("Last 30 days"), dt.timedelta(days=30)),
    }
    column = ""
    # Ids may be a little older than the moment that the column records.
    slack = dt.timedelta(hours=1)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the spans that can be chosen."""
        return [(key, label) for key, (label, _span) in self.spans.items()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Return the rows of the chosen span."""
        chosen = self.spans.get(self.value() or "")
        if chosen is None:
            return queryset
        since = clock.now() - chosen[1]
        millis = int((since - self.slack).timestamp() * 1000)
        lowest = ulid_from_seed(max(millis, 0), bytes(10))
        # The id narrows by its index, the column is exact.
        return queryset.filter(**{"pk__gte": lowest, f"{self.column}__gte": since})
