from __future__ import annotations

import logging
from typing import Any

import pytest

from inngest_django.client import Inngest
from inngest_django.errors import ConfigError
from inngest_django.functions.middleware import MiddlewareSync


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INNGEST_DEV", "INNGEST_ENV", "INNGEST_EVENT_KEY", "INNGEST_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_app_id_is_required() -> None:
    with pytest.raises(TypeError):
        Inngest()  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="app_id"):
        Inngest(app_id="")


@pytest.mark.parametrize(
    ("value", "expected"), [(None, True), ("", True), ("0", True), ("false", True), ("1", False)]
)
def test_production_follows_the_environment_unless_given(
    monkeypatch: pytest.MonkeyPatch, value: str | None, expected: bool
) -> None:
    if value is not None:
        monkeypatch.setenv("INNGEST_DEV", value)

    assert Inngest(app_id="a").is_production is expected
    assert Inngest(app_id="a", is_production=not expected).is_production is not expected


def test_arguments_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNGEST_ENV", "branch")
    monkeypatch.setenv("INNGEST_EVENT_KEY", "from-env")

    client = Inngest(
        app_id="a",
        api_base_url="http://api.test",
        app_version="3",
        event_api_base_url="http://events.test/",
        request_timeout=5,
        signing_key="s",
        checkpointing=True,
    )

    assert (client.api_origin, client.event_api_origin) == (
        "http://api.test/",
        "http://events.test/",
    )
    assert (client.app_version, client.env, client.event_key) == ("3", "branch", "from-env")
    assert client.signing_key == "s"
    assert client.signing_key_fallback is None
    assert client.checkpointing is True


def test_shared_middleware_list_is_not_changed() -> None:
    shared: Any = [MiddlewareSync]
    one, two = Inngest(app_id="a", middleware=shared), Inngest(app_id="b", middleware=shared)

    one.add_middleware(MiddlewareSync)

    assert len(one.middleware) == 2
    assert two.middleware == shared == [MiddlewareSync]


def test_logger_can_be_replaced() -> None:
    client = Inngest(app_id="a")
    logger = logging.getLogger("tests.client")

    client.set_logger(logger)

    assert client.logger is logger


def test_importing_the_package_loads_neither_models_nor_the_parser() -> None:
    import subprocess
    import sys

    code = (
        "import sys, inngest_django as i\n"
        "assert all(getattr(i, name) is not None for name in i.__all__)\n"
        "i.Inngest(app_id='a').create_function(fn_id='f', trigger=i.TriggerEvent(event='e'))("
        "lambda ctx: 1)\n"
        "assert not [m for m in sys.modules if m.startswith(('celpy', 'celery'))"
        " or m == 'inngest_django.models']\n"
    )

    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_unknown_name_is_an_attribute_error() -> None:
    import inngest_django

    with pytest.raises(AttributeError, match="nothing"):
        _ = inngest_django.nothing
    assert "Inngest" in dir(inngest_django)
