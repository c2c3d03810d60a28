"""Whatever is handed in comes back as it was, or is refused by the call that hands it in.

NUL, lone surrogates, numbers of any size and ten megabytes go in as event data, as the result
of a step, as data of an invoke and as the words of an error; on both databases.
"""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from typing import Any

import hypothesis
import pydantic
import pytest
from django.utils.functional import lazystr
from django.utils.translation import gettext_lazy
from hypothesis import strategies as st

from inngest_django.client import Inngest
from inngest_django.engine import cancellation
from inngest_django.errors import InngestError, SendEventsError, StepError
from inngest_django.events import Event as IncomingEvent
from inngest_django.models import Event, Run, Step
from inngest_django.serialization import is_storable, storable
from tests.engine.support import Engine
from tests.engine.test_protocol import declare

MEGABYTE = 1024 * 1024

# Every character there is, the halves of surrogate pairs and NUL among them.
texts = st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(
    ["\x00", "a\x00b", "\ud800", "\udfff\ud800", "\u2028", "\U0001f40d", "'; --", "\\u0000"]
)
numbers = (
    st.integers()
    | st.sampled_from([2**53 + 1, -(2**63), 2**64, 10**400, -(10**4000)])
    | st.floats(allow_nan=False, allow_infinity=False)
)
leaves = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)

REFUSED: dict[str, Any] = {
    "nan": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "decimal": decimal.Decimal("1.10"),
    "more digits than are read": 10**5000,
    "bytes": b"raw",
    "set": {1},
    "lazy translation": gettext_lazy("Yes"),
    "lazy string": lazystr("yes"),
    "moment": dt.datetime(2030, 1, 1, tzinfo=dt.UTC),
    "uuid": uuid.UUID(int=1),
    "object": object(),
}

DEPTHS = (0, 1, 5)

quick = hypothesis.settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


def as_read(value: Any) -> Any:
    """Return what JSON gives back: two halves that stand together are one character."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        case list():
            return [as_read(one) for one in value]
        case dict():
            return {as_read(key): as_read(one) for key, one in value.items()}
    return value


def exactly(value: Any) -> str:
    """Return a text that tells 1 from 1.0 and True, and keeps the order of keys."""
    return repr(value)


def around(value: Any, depth: int) -> Any:
    """Hide a value inside lists and objects."""
    for level in range(depth):
        value = [1, value] if level % 2 else {"x": value, "y": 2}
    return value


@quick
@hypothesis.given(value=values)
def test_value_goes_through_event_step_invoke_and_output(
    engine: Engine, client: Inngest, value: Any
) -> None:
    seen: list[Any] = []

    @declare(client, trigger=[])
    def child(ctx: Any) -> Any:
        return ctx.event.data["value"]

    @declare(client, retries=0)
    def echo(ctx: Any) -> Any:
        stored = ctx.step.run("step", lambda: ctx.event.data["value"])
        seen.append(stored)
        return ctx.step.invoke("child", function=child, data={"value": stored})

    run = engine.start("test/started", {"value": value})

    assert run.status == "completed", run.error
    wanted = exactly(as_read(value))
    assert exactly(run.output) == wanted
    assert {exactly(one) for one in seen} == {wanted}
    assert exactly(Step.objects.get(run=run, name="step").output) == wanted
    assert exactly(Event.objects.get(pk=run.event_id).data["value"]) == wanted


@quick
@hypothesis.given(words=texts)
def test_words_go_through_an_error_and_a_reason(
    engine: Engine, client: Inngest, words: str
) -> None:
    @declare(client, retries=0)
    def failing(ctx: Any) -> Any:
        def body() -> None:
            raise ValueError(words)

        try:
            ctx.step.run("step", body)
        except StepError as error:
            said = error.message
        ctx.step.sleep("nap", "1h")
        return said

    run = engine.start("test/started")
    assert as_read(words) in (run.steps.get(name="step").error or {})["message"]
    assert cancellation.cancel(run.pk, reason=words)

    run.refresh_from_db()
    assert run.status == "cancelled"
    # For people, in a text column: what that does not take is marked.
    assert run.reason == (storable(words) or "cancelled on request")
    assert len(run.reason) == len(words or run.reason)


@quick
@hypothesis.given(name=texts)
def test_name_of_a_step_is_kept_or_refused(engine: Engine, client: Inngest, name: str) -> None:
    bodies: list[int] = []

    @declare(client, retries=0)
    def named(ctx: Any) -> Any:
        return ctx.step.run(name, lambda: bodies.append(1))

    run = engine.start("test/started")

    if run.status == "completed":
        assert (run.steps.get().name, bodies) == (name, [1])
    else:
        # By the call, before anything of it is done.
        assert (run.status, bodies) == ("failed", [])
        assert not is_storable(name)
        assert run.error["name"] == "StepUsageError"


@quick
@hypothesis.given(name=texts, external_id=texts)
def test_name_and_id_of_an_event_are_kept_or_refused(
    engine: Engine, client: Inngest, name: str, external_id: str
) -> None:
    before = Event.objects.count()
    try:
        [event_id] = client.send_sync(IncomingEvent(name=name, data={}, id=external_id))
    except InngestError:
        assert Event.objects.count() == before
        assert not name or not is_storable(name + external_id)
    else:
        event = Event.objects.get(pk=event_id)
        assert (event.name, event.external_id or "") == (name, external_id)


@pytest.mark.parametrize("text", ["\x00", "a\ud800"], ids=["NUL", "surrogate"])
@pytest.mark.parametrize("what", ["event", "if_exp", "function_id", "event sent"])
def test_text_that_no_column_takes_is_refused_by_the_step(
    engine: Engine, client: Inngest, what: str, text: str
) -> None:
    @declare(client, retries=0)
    def wrong(ctx: Any) -> Any:
        if what == "event":
            return ctx.step.wait_for_event("step", event=text, timeout="1h")
        if what == "if_exp":
            return ctx.step.wait_for_event(
                "step", event="e", if_exp=f"async.data.a == '{text}'", timeout="1h"
            )
        if what == "function_id":
            return ctx.step.invoke_by_id("step", app_id="test", function_id=text)
        return ctx.step.send_event("step", IncomingEvent(name=text))

    run = engine.start("test/started")

    assert run.status == "failed", run.steps.all()
    assert "surrogate" in run.error["message"]


# Refused before any database sees it.
@pytest.mark.sqlite
@pytest.mark.parametrize("kind", REFUSED)
def test_event_that_is_no_json_is_refused_by_the_call(
    engine: Engine, client: Inngest, kind: str
) -> None:
    for depth in DEPTHS:
        data = {"value": around(REFUSED[kind], depth)}
        with pytest.raises((SendEventsError, pydantic.ValidationError)) as caught:
            client.send_sync(IncomingEvent(name="test/started", data=data))
        assert "data" in str(caught.value)
    assert not Event.objects.exists()


# Refused before any database sees it.
@pytest.mark.sqlite
@pytest.mark.parametrize("kind", REFUSED)
def test_result_that_is_no_json_fails_the_step_once(
    engine: Engine, client: Inngest, kind: str
) -> None:
    bodies: list[int] = []

    @declare(client, retries=3)
    def wrong(ctx: Any) -> Any:
        depth = ctx.event.data["depth"]
        return ctx.step.run("step", lambda: bodies.append(depth) or around(REFUSED[kind], depth))

    for depth in DEPTHS:
        run = engine.start("test/started", {"depth": depth})
        assert run.status == "failed"
        assert run.error["name"] == "OutputUnserializableError"
        assert '"step"' in run.error["message"]
    assert bodies == list(DEPTHS)


def test_ten_megabytes_are_refused_where_they_are_handed_in(
    engine: Engine, client: Inngest
) -> None:
    large = "x" * (10 * MEGABYTE)
    bodies: list[int] = []

    @declare(client, retries=3)
    def heavy(ctx: Any) -> Any:
        return len(ctx.step.run("heavy step", lambda: bodies.append(1) or large))

    with pytest.raises(SendEventsError, match=r"10485\d{3} bytes.*MAX_EVENT_BYTES"):
        client.send_sync(IncomingEvent(name="test/started", data={"value": large}))
    assert not Event.objects.exists()

    run = engine.start("test/started")

    assert (run.status, bodies) == ("failed", [1])
    assert '"heavy step"' in run.error["message"]
    assert not Run.objects.exclude(pk=run.pk).filter(function_id=run.function_id).exists()


def test_ten_megabytes_go_through_where_they_are_allowed(
    engine: Engine, client: Inngest, settings: Any
) -> None:
    settings.INNGEST = {**settings.INNGEST, "MAX_EVENT_BYTES": 12 * MEGABYTE}
    large = "\u00e9" * (10 * MEGABYTE // 2)

    @declare(client, retries=0)
    def measure(ctx: Any) -> int:
        return len(ctx.event.data["value"])

    run = engine.start("test/started", {"value": large})

    assert run.output == len(large)
    assert Event.objects.get(pk=run.event_id).data["value"] == large
