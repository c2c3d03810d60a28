"""Functions that are declared in a way that cannot work are refused where they are written."""

from __future__ import annotations

from typing import Any

import pytest

import inngest_django as inngest
from tests.functional.support import client

EVENT = inngest.TriggerEvent(event="functional/declarations")


def _plain(ctx: inngest.ContextSync) -> None:
    return None


async def _async(ctx: inngest.Context) -> None:
    return None


OPTIONS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "retries below zero": ({"retries": -1}, ["retries", "-1"]),
    "too many retries": ({"retries": 21}, ["retries", "21"]),
    "no id": ({"fn_id": ""}, ["fn_id"]),
    "an id that is no text": ({"fn_id": 5}, ["fn_id", "5"]),
    "a trigger that is none": ({"trigger": "event"}, ["trigger", "'event'"]),
    "a filter that does not compile": (
        {"trigger": inngest.TriggerEvent(event="x", expression="event.data.x ==")},
        ["trigger", "event.data.x =="],
    ),
    "a cancel rule that does not compile": (
        {"cancel": [inngest.Cancel(event="x", if_exp="((")]},
        ["cancel", "(("],
    ),
    "a bare Concurrency": ({"concurrency": inngest.Concurrency(limit=1)}, ["concurrency"]),
    "too many cancel rules": ({"cancel": [inngest.Cancel(event="x")] * 6}, ["cancel", "5"]),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options(case: str) -> None:
    options, texts = OPTIONS[case]
    with pytest.raises(inngest.FunctionConfigInvalidError) as caught:
        client.create_function(**{"fn_id": "declarations", "trigger": EVENT, **options})(_plain)

    for text in texts:
        assert text in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: inngest.TriggerCron(cron="every day"),
        lambda: inngest.Concurrency(limit="10"),
        lambda: inngest.Debounce(period=500),
        lambda: inngest.Throttle(limit=1, period=1_500),
        lambda: inngest.RateLimit(limit=1, period=-1_000),
    ],
)
def test_configuration_objects(make: Any) -> None:
    with pytest.raises(inngest.FunctionConfigInvalidError):
        make()


def test_a_handler_for_failures_of_the_other_kind() -> None:
    with pytest.raises(
        inngest.Error, match="an async function cannot have a non-async on_failure handler"
    ):
        client.create_function(fn_id="d", trigger=EVENT, on_failure=_plain)(_async)
    with pytest.raises(
        inngest.Error, match="a non-async function cannot have an async on_failure handler"
    ):
        client.create_function(fn_id="d", trigger=EVENT, on_failure=_async)(_plain)
