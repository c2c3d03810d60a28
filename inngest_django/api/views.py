"""What all views share: JSON in and out, errors of one shape, nothing of the project's defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from inngest_django import clock
from inngest_django.api import errors
from inngest_django.serialization import dumps


class WireRenderer(BaseRenderer):
    """JSON as values are stored: ASCII, so that any stored text can be sent."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return the encoded body; nothing for no data."""
        return b"" if data is None else dumps(data).encode("ascii")


class OnlyJson(BaseContentNegotiation):
    """Answers in JSON whatever the client prefers."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> Any:
        """Return no parser: views read the body themselves."""
        return None

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> Any:
        """Return the first renderer."""
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class InngestView(APIView):
    """A view that takes nothing from the project's ``REST_FRAMEWORK``."""

    authentication_classes: Sequence[type[BaseAuthentication]] = ()
    content_negotiation_class = OnlyJson
    metadata_class = None
    parser_classes = ()
    permission_classes = ()
    renderer_classes = (WireRenderer,)
    schema = None
    throttle_classes = ()
    versioning_class = None

    def get_exception_handler(self) -> Callable[..., Response | None]:
        """Return the handler of this package."""
        return errors.as_response

    def perform_authentication(self, request: Request) -> None:
        """Ask for a key where the view names a class for it."""
        # Without one, DRF would make the project's anonymous user.
        if self.authentication_classes:
            super().perform_authentication(request)


def envelope(data: Any) -> Response:
    """Return ``{"data": …, "metadata": {"fetched_at", "cached_until"}}``."""
    metadata = {"fetched_at": clock.now().isoformat(), "cached_until": None}
    response = Response({"data": data, "metadata": metadata})
    response["Cache-Control"] = "no-store"
    return response
