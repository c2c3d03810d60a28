from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client

KEYS = {"EVENT_KEYS": ["event-key", "other-key"], "API_KEYS": ["api-key"]}


@pytest.fixture
def keyed(settings: Any) -> Any:
    """Settings with keys, and defaults for DRF that would close or break other views."""
    settings.INNGEST = {**django_settings.INNGEST, **KEYS}
    settings.ROOT_URLCONF = "tests.api.urls"
    settings.REST_FRAMEWORK = {
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.BasicAuthentication"],
        "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.FormParser"],
        "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"],
        "DEFAULT_THROTTLE_RATES": {"anon": "1/day"},
        "UNICODE_JSON": True,
    }
    return settings


@pytest.fixture
def send(keyed: Any) -> Callable[..., Any]:
    """Posts a body to ``/e/<key>``."""
    client = Client(enforce_csrf_checks=True)

    def post(body: Any, *, key: str = "event-key", **headers: str) -> Any:
        content_type = headers.pop("content_type", "application/json")
        return client.post(f"/inngest/e/{key}", body, content_type=content_type, headers=headers)

    return post


@pytest.fixture
def get(keyed: Any) -> Callable[..., Any]:
    """Reads a path with an API key."""
    client = Client()

    def read(path: str, *, key: str | None = "Bearer api-key") -> Any:
        headers = {} if key is None else {"Authorization": key}
        return client.get(f"/inngest/{path}", headers=headers)

    return read
