"""The page of the HTTP API says of each address what it takes and answers, and no more."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import URLPattern

from inngest_django import ids, urls
from inngest_django.api import ingest
from inngest_django.api.ingest import SEED_HEADER
from inngest_django.api.runs import event_json, run_json
from inngest_django.engine import recovery
from tests import factories
from tests.api.conftest import keyed
from tests.docs.pages import page
from tests.repo.readme import ROOT

__all__ = ["keyed"]

PAGE = page("reference/http-api.md")
# Of every field that an answer or a body can have, and of the word that stands for it in a row.
_CODE = re.compile(r"`([^`]+)`")
_STATUS = re.compile(r"HTTP_(\d{3})_")

Routes = dict[str, tuple[str, set[str], set[int]]]


def _documented() -> Routes:
    """Return of each route, by name, its address, methods and answers."""
    rows = [row for row in PAGE.rows() if len(row) == 5]
    return {
        name.strip("`"): (
            address.strip("`"),
            set(_CODE.findall(methods)),
            {int(status) for status in answers.split(",")},
        )
        for address, methods, name, _key, answers in rows
    }


def _fields(heading: str) -> set[str]:
    """Return the names in the first column of a section's table."""
    rows = re.findall(r"^\| (`[^|]+) \|", PAGE.section(heading), re.MULTILINE)
    return {name for row in rows for name in _CODE.findall(row)}


def test_it_has_exactly_the_routes_with_their_parameters_and_methods() -> None:
    mounted = {
        str(pattern.name): (
            re.sub(r"<\w+:", "<", str(pattern.pattern)),
            {method.upper() for method in pattern.callback.view_class.http_method_names},
        )
        for pattern in urls.urlpatterns
        if isinstance(pattern, URLPattern)
    }

    assert {name: row[:2] for name, row in _documented().items()} == mounted
    assert len(mounted) == len(urls.urlpatterns)


def test_every_method_has_a_handler_or_is_djangos_own() -> None:
    for pattern in urls.urlpatterns:
        view = pattern.callback.view_class
        for method in view.http_method_names:
            assert callable(getattr(view, "get" if method == "head" else method, None))


def test_nothing_is_read_from_the_query() -> None:
    sources = [path.read_text() for path in (ROOT / "inngest_django/api").glob("*.py")]

    assert not [text for text in sources if re.search(r"query_params|QUERY_STRING|\.GET\b", text)]


def _broken(*_: Any) -> None:
    raise OperationalError("the server closed the connection")


@pytest.mark.django_db
def test_each_route_answers_with_exactly_its_statuses(
    keyed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, auth = Client(), {"Authorization": "Bearer api-key"}
    run = factories.completed_run()
    event = '{"name": "shop/order.paid"}'
    answered: dict[str, set[int]] = {}

    def ask(name: str, method: str, path: str, body: str = "", **headers: str) -> None:
        response = client.generic(
            method, f"/inngest/{path}", body, content_type="application/json", headers=headers
        )
        answered.setdefault(name, set()).add(response.status_code)

    for method, body in (("POST", event), ("POST", "no JSON"), ("OPTIONS", ""), ("GET", "")):
        ask("send", method, "e/event-key", body)
    ask("send", "POST", "e/unknown", event)
    ask("send-without-key", "POST", "e/", event)
    ask("send-without-key", "OPTIONS", "e/")
    ask("send-without-key", "GET", "e/")
    for name, path, found in (
        ("event", "v1/events/{}", run.event_id),
        ("event-runs", "v1/events/{}/runs", run.event_id),
        ("run", "v1/runs/{}", run.pk),
    ):
        for asked in (found, ids.new_ulid(), "no-id"):
            ask(name, "GET", path.format(asked), **auth)
        ask(name, "HEAD", path.format(found), **auth)
        ask(name, "POST", path.format(found), **auth)
        ask(name, "GET", path.format(found))
    for method in ("GET", "HEAD", "POST"):
        ask("health", method, "health")
    monkeypatch.setattr(recovery, "last_tick_age", _broken)
    ask("health", "GET", "health")
    keyed.INNGEST = {**keyed.INNGEST, "MAX_EVENT_BYTES": 100}
    ask("send", "POST", "e/event-key", " " * 1000)
    keyed.INNGEST = {**keyed.INNGEST, "EVENT_KEYS": []}
    ask("send", "POST", "e/event-key", event)
    ask("send-without-key", "POST", "e/", event)

    assert answered == {name: answers for name, (_, _, answers) in _documented().items()}


def test_every_status_in_the_code_is_on_the_page_and_explained() -> None:
    written = {
        int(status)
        for path in (ROOT / "inngest_django/api").glob("*.py")
        for status in _STATUS.findall(path.read_text())
    }
    documented = set.union(*(answers for _, _, answers in _documented().values()))
    explained = {int(row[0]) for row in PAGE.rows() if row[0].isdigit()}

    # DRF's own answer to another method.
    assert documented - {405} == written
    assert explained == {status for status in documented if status >= 400}


def test_it_has_exactly_the_fields_of_an_event_to_send() -> None:
    assert _fields("POST e/&lt;key&gt;") == set(ingest._TYPES)
    assert f"`{SEED_HEADER}: " in PAGE.section("POST e/&lt;key&gt;")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("heading", "shown"),
    [
        (
            "GET v1/events/&lt;event_id&gt;",
            lambda: event_json(factories.event(external_id="mine", version="1", user={"id": 1})),
        ),
        (
            "GET v1/runs/&lt;run_id&gt;",
            lambda: run_json(
                factories.run(
                    original_run=factories.run(),
                    event=factories.event("inngest/scheduled.timer", data={"cron": "0 3 * * *"}),
                )
            ),
        ),
    ],
)
def test_it_has_exactly_the_fields_of_an_answer(
    heading: str, shown: Callable[[], dict[str, Any]]
) -> None:
    assert _fields(heading) == set(shown())
