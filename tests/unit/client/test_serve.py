from __future__ import annotations

import json
from typing import Any

from django.test import RequestFactory

from inngest_django.client import Inngest
from inngest_django.django import serve
from inngest_django.functions import registry
from inngest_django.functions.triggers import TriggerEvent


def make(client: Inngest) -> Any:
    @client.create_function(fn_id="fn", trigger=TriggerEvent(event="a"))
    def fn(ctx: Any) -> None: ...

    return fn


def test_serve_registers_and_answers_harmlessly() -> None:
    client = Inngest(app_id="served")
    fn = make(client)

    with registry.only([]):
        pattern = serve(client, [fn], async_mode=True, public_path="/x", serve_origin="http://x")

        assert registry.get("served-fn") is fn

    match = pattern.resolve("api/inngest")
    assert match is not None
    for method in ("GET", "POST", "PUT"):
        response = match.func(RequestFactory().generic(method, "/api/inngest"))
        assert json.loads(response.content) == {
            "app_id": "served",
            "function_count": 1,
            "mode": "in_process",
        }


def test_serve_path_may_be_chosen() -> None:
    with registry.only([]):
        pattern = serve(Inngest(app_id="served"), [], serve_path="/hooks/inngest")

    assert pattern.resolve("hooks/inngest") is not None
