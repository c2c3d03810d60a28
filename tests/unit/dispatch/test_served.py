"""Functions that only ``serve`` in the URL configuration lists are known to a worker."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from django.test import override_settings

from inngest_django.dispatch import worker
from inngest_django.functions import registry


def test_worker_start_imports_the_urls_that_serve_functions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "served_urls.py").write_text(
        "import inngest_django as inngest\n"
        "from inngest_django.django import serve\n"
        "client = inngest.Inngest(app_id='served', is_production=False)\n"
        "@client.create_function(fn_id='f', trigger=inngest.TriggerEvent(event='a/b'))\n"
        "def f(ctx):\n    return 1\n"
        "urlpatterns = [serve(client, [f])]\n"
    )
    with override_settings(ROOT_URLCONF="served_urls"), registry.only([]):
        assert registry.get("served-f") is None

        worker.load_served()

        assert registry.get("served-f") is not None
    sys.modules.pop("served_urls", None)


def test_urls_that_cannot_be_imported_do_not_stop_the_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with override_settings(ROOT_URLCONF="there.is.no.such.module"):
        worker.load_served()

    assert "URL configuration" in caplog.text
