"""What the page of differences says of this package, where a few lines can show it."""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest

import inngest_django as inngest
from inngest_django import errors
from inngest_django.functions import registry
from tests.docs.pages import page
from tests.engine.support import Engine, steps_of

PAGE = page("explanation/differences-from-inngest.md")
client = inngest.Inngest(app_id="differences")
TRIGGER = inngest.TriggerEvent(event="differences/asked")


def _declare(**options: Any) -> inngest.Function:
    return client.create_function(fn_id="f", trigger=TRIGGER, **options)(lambda ctx: None)


def _run(engine: Engine, handler: Callable[[inngest.ContextSync], Any]) -> Any:
    function = client.create_function(fn_id="f", trigger=TRIGGER, retries=0)(handler)
    registry.register(function)
    event_id = engine.send("differences/asked")
    engine.idle()
    return engine.run_of(event_id, function.id)


def _says(subject: str) -> str:
    """What the page says of this package about a subject."""
    [row] = [cells for cells in PAGE.rows() if cells[0].startswith(subject)]
    return row[2]


def test_imports_of_the_guide_exist() -> None:
    rows = page("how-to/come-from-inngest.md").rows()
    modules = [cells[1].strip("`") for cells in rows if cells[0].startswith("`inngest")]

    assert len(modules) == 5
    for module in modules:
        importlib.import_module(module)


def test_mistakes_in_options_are_found_when_the_function_is_declared() -> None:
    assert _says("A mistake in an option") == "found when the function is declared"
    with pytest.raises(errors.ConfigError, match="retries"):
        _declare(retries=-1)
    with pytest.raises(errors.ConfigError, match="at least 1 second"):
        _declare(cancel=[inngest.Cancel(event="differences/over", timeout=500)])


def test_step_id_that_is_no_text_is_a_type_error(engine: Engine) -> None:
    assert "`TypeError`" in _says("A step id that is no text")
    assert issubclass(errors.StepUsageError, TypeError)

    run = _run(engine, lambda ctx: ctx.step.run(7, lambda: None))

    assert run.error["name"] == "StepUsageError"


def test_pause_that_is_negative_or_too_long_is_refused(engine: Engine) -> None:
    assert _says("A pause that is negative").startswith("`duration_invalid`")
    for duration in (-1, "367d"):
        run = _run(engine, lambda ctx, duration=duration: ctx.step.sleep("pause", duration))
        assert run.error["code"] == "duration_invalid"


def test_wait_may_time_out_within_a_second(engine: Engine) -> None:
    assert _says("Shortest timeout") == "none"

    run = _run(engine, lambda ctx: ctx.step.wait_for_event("wait", event="never/sent", timeout=250))

    assert steps_of(run)["wait"].status == "waiting"


def test_text_of_an_error_without_a_message_is_empty() -> None:
    assert _says("`str(NonRetriableError())`") == '`""`'
    assert str(inngest.NonRetriableError()) == ""


def test_sending_needs_no_key(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _says("`send` without an event key") == "sends"
    monkeypatch.delenv("INNGEST_DEV", raising=False)
    monkeypatch.delenv("INNGEST_EVENT_KEY", raising=False)
    production = inngest.Inngest(app_id="differences", is_production=True)

    assert len(production.send_sync(inngest.Event(name="differences/asked"))) == 1


def test_logger_goes_on_after_the_client_sent(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    assert _says("`ctx.logger` after") == "goes on"

    def handler(ctx: inngest.ContextSync) -> None:
        client.send_sync(inngest.Event(name="differences/other"))
        ctx.logger.info("said after sending")

    with caplog.at_level(logging.INFO, logger=client.logger.name):
        _run(engine, handler)

    assert "said after sending" in caplog.messages


def test_second_use_of_an_id_and_a_literal_one_are_kept_apart(engine: Engine) -> None:
    assert _says("A step id that is the same") == "they are kept apart"

    def handler(ctx: inngest.ContextSync) -> list[int]:
        return [ctx.step.run(name, lambda n=n: n) for n, name in enumerate(["a", "a", "a:1"])]

    assert _run(engine, handler).output == [0, 1, 2]


def test_every_subject_is_said_once() -> None:
    subjects = [cells[0] for cells in PAGE.rows()]

    assert len(subjects) == len(set(subjects))
    assert all(re.fullmatch(r"\S.*\S", cell) for cells in PAGE.rows() for cell in cells)
