"""``GET /health``: whether the database answers and ticks run; nothing about runs."""

from __future__ import annotations

from django.db import Error
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from inngest_django.api.views import InngestView
from inngest_django.engine import recovery


class HealthView(InngestView):
    """Open to everybody, for load balancers."""

    http_method_names = ("get", "head")

    def get(self, request: Request) -> Response:
        """Return ``{"status": "ok", "last_tick_age": seconds or null}``; 503 without database."""
        try:
            age = recovery.last_tick_age()
        except Error:
            return Response({"status": "unavailable"}, status=status.HTTP_503_SERVICE_UNAVAILABLE)
        seconds = None if age is None else round(age.total_seconds(), 3)
        response = Response({"status": "ok", "last_tick_age": seconds})
        response["Cache-Control"] = "no-store"
        return response
