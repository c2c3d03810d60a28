from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("inngest/", include("inngest_django.urls"))]
