"""Errors as the wire shows them: ``{"error": text, "status": number}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.response import Response


class ApiError(exceptions.APIException):
    """A refusal with its status and, for senders, the ids accepted before it.

    Args:
        detail: What is wrong, the value, the remedy.
        status_code: Of HTTP.
        extra: Further keys of the body.
    """

    def __init__(
        self, detail: str, *, status_code: int, extra: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self.status_code = status_code
        self.extra: Mapping[str, Any] = extra or {}


def bad_request(detail: str, **extra: Any) -> ApiError:
    """Return the error of a request that cannot be understood."""
    return ApiError(detail, status_code=status.HTTP_400_BAD_REQUEST, extra=extra)


def not_found(detail: str) -> ApiError:
    """Return the error of an unknown id."""
    return ApiError(detail, status_code=status.HTTP_404_NOT_FOUND)


def as_response(error: Exception, _context: Mapping[str, Any]) -> Response | None:
    """Return the body of any refusal; None leaves a fault to Django."""
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if not isinstance(error, exceptions.APIException):
        return None
    body = {**getattr(error, "extra", {}), "status": error.status_code, "error": str(error.detail)}
    response = Response(body, status=error.status_code)
    scheme = getattr(error, "auth_header", None)
    if scheme:
        response["WWW-Authenticate"] = scheme
    return response
