"""Keys: event keys in the address send events, API keys in a header read.

Every view names its own classes, so that what a project sets for its other views neither
opens these nor closes them.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from rest_framework import status
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from inngest_django import conf
from inngest_django.api.errors import ApiError


class KeyHolder:
    """Whoever presented a valid key; keys belong to no user of the project."""

    is_authenticated = True
    is_anonymous = False
    is_active = True
    pk = None


class EventKeyAuthentication(BaseAuthentication):
    """Accepts ``/e/<key>`` when the key is in ``INNGEST["EVENT_KEYS"]``."""

    def authenticate(self, request: Request) -> tuple[KeyHolder, str]:
        """Return the holder of the key.

        Raises:
            ApiError: 503 when no key is configured, 401 when the key is missing or unknown.
        """
        keys = conf.get().EVENT_KEYS
        if not keys:
            raise ApiError(
                'No event key is configured; set INNGEST["EVENT_KEYS"].',
                status_code=status.HTTP_503_SERVICE_UNAVAILABLE,
            )
        kwargs = (request.parser_context or {}).get("kwargs", {})
        key = str(kwargs.get("key", ""))
        if not key:
            raise ApiError("Event key is required", status_code=status.HTTP_401_UNAUTHORIZED)
        if not is_among(key, keys):
            raise ApiError("Event key not found", status_code=status.HTTP_401_UNAUTHORIZED)
        return KeyHolder(), key


class ApiKeyAuthentication(BaseAuthentication):
    """Accepts ``Authorization: Bearer <key>`` when the key is in ``INNGEST["API_KEYS"]``."""

    def authenticate(self, request: Request) -> tuple[KeyHolder, str]:
        """Return the holder of the key.

        Raises:
            ApiError: 401, the same for a missing and a wrong key, and while none is configured.
        """
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not is_among(key.strip(), conf.get().API_KEYS):
            error = ApiError(
                'A valid API key is required: "Authorization: Bearer <key>", with a key of'
                ' INNGEST["API_KEYS"].',
                status_code=status.HTTP_401_UNAUTHORIZED,
            )
            error.auth_header = "Bearer"  # type: ignore[attr-defined]
            raise error
        return KeyHolder(), key.strip()


def is_among(key: str, keys: Sequence[str]) -> bool:
    """Return whether the key is one of them, in a time that does not tell how close it was."""
    given = key.encode("utf-8", "surrogateescape")
    found = False
    for known in keys:
        # Every key is compared: the answer's time must not tell which one came near.
        found |= hmac.compare_digest(given, known.encode("utf-8", "surrogateescape"))
    return found
