"""``serve``, as the Inngest SDK's Django integration has it."""

from __future__ import annotations

from collections.abc import Iterable

import django.urls
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from inngest_django.client import Inngest
from inngest_django.functions import registry
from inngest_django.functions.function import Function

DEFAULT_PATH = "api/inngest"


def serve(
    client: Inngest,
    functions: Iterable[Function],
    *,
    async_mode: bool = False,  # noqa: ARG001 - functions run in workers
    enable_unauthed_sync: bool | None = None,  # noqa: ARG001 - there is no sync
    public_path: str | None = None,  # noqa: ARG001 - nothing calls back
    serve_origin: str | None = None,  # noqa: ARG001 - nothing calls back
    serve_path: str | None = None,
) -> django.urls.URLPattern:
    """Register a list of functions explicitly.

    Returns:
        A URL pattern for ``/api/inngest`` that answers with the app's id and starts nothing:
        functions run in Celery workers.
    """
    served = list(functions)
    for function in served:
        registry.register(function)
    body = {"app_id": client.app_id, "function_count": len(served), "mode": "in_process"}

    @csrf_exempt
    def view(request: HttpRequest) -> HttpResponseBase:  # noqa: ARG001 - the answer is fixed
        return JsonResponse(body)

    return django.urls.path((serve_path or DEFAULT_PATH).lstrip("/"), view)
