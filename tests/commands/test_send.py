from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic
import pytest

from inngest_django import EventType, Inngest, TriggerEvent
from inngest_django.functions import registry
from inngest_django.models import Event

pytestmark = pytest.mark.django_db

Manage = Callable[..., Any]


class Paid(pydantic.BaseModel):
    number: int


PAID = TriggerEvent(event=EventType("shop/typed.paid", Paid))
typed = Inngest(app_id="shop").create_function(fn_id="typed", trigger=PAID)(lambda ctx: None)


def test_data_that_does_not_fit_its_declared_type_is_refused(db: None, manage: Any) -> None:
    with registry.only([typed]):
        refused = manage("inngest_send", "shop/typed.paid", "--data", '{"number": "x"}')
        sent = manage("inngest_send", "shop/typed.paid", "--data", '{"number": 1}')

    assert refused.code == 2
    assert 'field "number"' in refused.err
    assert "got 'x'" in refused.err
    assert sent.code == 0


def test_send_stores_the_event_and_prints_its_id(manage: Manage) -> None:
    result = manage(
        "inngest_send", "shop/paid", "--data", '{"n": 1}', "--user", '{"id": 2}',
        "--id", "ord-1", "--ts", "1790000000000", "--json",
    )  # fmt: skip

    event = Event.objects.get()
    assert (result.code, result.json) == (0, {"ids": [event.pk]})
    assert (event.name, event.data, event.user) == ("shop/paid", {"n": 1}, {"id": 2})
    assert (event.external_id, event.ts) == ("ord-1", 1_790_000_000_000)


def test_send_without_json_prints_a_sentence(manage: Manage) -> None:
    result = manage("inngest_send", "shop/paid")

    assert (result.code, result.out) == (0, f"Sent shop/paid as {Event.objects.get().pk}.\n")


def test_send_reads_data_from_a_file_and_from_standard_input(
    manage: Manage, tmp_path: Path
) -> None:
    path = tmp_path / "data.json"
    path.write_text('{"from": "file"}')

    assert manage("inngest_send", "a", "--data", f"@{path}").code == 0
    assert manage("inngest_send", "b", "--data", "-", stdin='{"from": "stdin"}').code == 0

    stored = dict(Event.objects.values_list("name", "data"))
    assert stored == {"a": {"from": "file"}, "b": {"from": "stdin"}}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name"),
        (["a", "--data", "{"], "--data is not JSON"),
        (["a", "--data", "[1]"], "must be a JSON object"),
        (["a", "--data", '{"x": NaN}'], "NaN"),
        (["a", "--data", "@/no/such/file"], "cannot be read"),
        (["a", "--user", "7"], "--user must be a JSON object"),
        (["a", "--ts", "soon"], "--ts"),
        (["a", "--ts", "5"], "outside 1980 to 2100"),
        (["inngest/function.finished"], "reserved"),
        ([""], "name"),
        (["a", "--colour", "red"], "--colour"),
    ],
)
def test_bad_usage_ends_with_two(manage: Manage, words: list[str], message: str) -> None:
    result = manage("inngest_send", *words)

    assert result.code == 2
    assert message in result.err
    assert not Event.objects.exists()
