from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from inngest_django.client import Inngest
from inngest_django.functions import registry
from inngest_django.functions.triggers import TriggerCron, TriggerEvent
from inngest_django.models import Function
from tests import factories

Manage = Callable[..., Any]


@pytest.fixture(autouse=True)
def empty_table(db: None) -> None:
    # Creating the test database registered the functions of the installed apps.
    Function.objects.all().delete()


@pytest.fixture
def known() -> Iterator[None]:
    """Two functions in the code and nothing else."""
    client = Inngest(app_id="shop")

    @client.create_function(
        fn_id="new", trigger=TriggerEvent(event="a/b", expression="event.data.x")
    )
    def new(ctx: Any) -> None: ...

    @client.create_function(fn_id="nightly", trigger=TriggerCron(cron="0 3 * * *"))
    def nightly(ctx: Any) -> None: ...

    with registry.only([new, nightly]):
        yield


@pytest.mark.usefixtures("known")
def test_functions_of_the_code_and_of_the_table_are_listed(manage: Manage) -> None:
    factories.function("shop-gone")
    factories.function("shop-new", version=3)

    result = manage("inngest_functions", "--json")

    assert result.code == 0
    assert [(f["id"], f["is_known"], f["version"]) for f in result.json] == [
        ("shop-gone", False, 1),
        ("shop-new", True, 3),
        ("shop-nightly", True, None),
    ]
    assert result.json[1]["triggers"] == [{"event": "a/b", "expression": "event.data.x"}]


@pytest.mark.usefixtures("known")
def test_functions_are_printed_as_a_table(manage: Manage) -> None:
    text = manage("inngest_functions").out

    assert "a/b if event.data.x" in text
    assert "cron 0 3 * * *" in text


@pytest.mark.usefixtures("known")
def test_the_next_start_by_the_clock_is_told(manage: Manage) -> None:
    next_at = dt.datetime(2099, 1, 1, 3, tzinfo=dt.UTC)
    factories.schedule("shop-nightly", cron="0 3 * * *", next_at=next_at)
    factories.schedule("shop-nightly", cron="0 4 * * *", next_at=next_at + dt.timedelta(hours=1))

    found = {item["id"]: item["next_at"] for item in manage("inngest_functions", "--json").json}

    assert found == {"shop-new": None, "shop-nightly": "2099-01-01T03:00:00Z"}
    assert "2099-01-01 03:00:00" in manage("inngest_functions").out


def test_no_functions_are_no_fault(manage: Manage) -> None:
    with registry.only([]):
        result = manage("inngest_functions")

    assert result.code == 0
    assert "No functions" in result.out
