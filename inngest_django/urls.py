"""Addresses: ``path("inngest/", include("inngest_django.urls"))``."""

from __future__ import annotations

from django.urls import path

from inngest_django.api.health import HealthView
from inngest_django.api.ingest import IngestView
from inngest_django.api.runs import EventRunsView, EventView, RunView

app_name = "inngest"

urlpatterns = [
    path("e/", IngestView.as_view(), name="send-without-key"),
    path("e/<str:key>", IngestView.as_view(), name="send"),
    path("v1/events/<str:event_id>", EventView.as_view(), name="event"),
    path("v1/events/<str:event_id>/runs", EventRunsView.as_view(), name="event-runs"),
    path("v1/runs/<str:run_id>", RunView.as_view(), name="run"),
    path("health", HealthView.as_view(), name="health"),
]
