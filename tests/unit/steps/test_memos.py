from __future__ import annotations

import enum
from typing import Any

import pytest

from inngest_django.steps.memos import fresh


class Colour(str, enum.Enum):  # noqa: UP042 - as authors write it
    RED = "red"


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        [1, 2.5, True, None, "\ud800 \x00", 10**40],
        {"a": {"b": [{"c": []}]}},
        # What no decoder makes, and a caller of the driver may pass.
        {"colour": Colour.RED},
    ],
)
def test_copy_equals_its_original_and_shares_nothing_that_can_be_changed(value: Any) -> None:
    copy = fresh(value)

    assert copy == value
    if isinstance(value, dict | list):
        assert copy is not value
    if value == {"a": {"b": [{"c": []}]}}:
        copy["a"]["b"][0]["c"].append(1)
        assert value == {"a": {"b": [{"c": []}]}}


def test_copy_may_be_as_deep_as_json() -> None:
    value: list[Any] = []
    for _ in range(900):
        value = [value]

    assert fresh(value) == value
