from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from inngest_django import ids
from inngest_django.models.fields import JSONText
from inngest_django.states import RunStatus
from tests import factories

pytestmark = pytest.mark.django_db

Get = Callable[..., Any]


def test_run_is_returned_in_the_envelope(get: Get) -> None:
    run = factories.completed_run()

    response = get(f"v1/runs/{run.pk}")

    body = response.json()
    assert response.status_code == 200
    assert set(body["metadata"]) == {"fetched_at", "cached_until"}
    assert dt.datetime.fromisoformat(body["metadata"]["fetched_at"]).tzinfo is not None
    assert body["data"] == {
        "run_id": run.pk,
        "run_started_at": run.started_at.isoformat(),
        "function_id": "shop-fulfil",
        "function_version": 1,
        "environment_id": None,
        "event_id": run.event_id,
        "status": "Completed",
        "ended_at": run.ended_at.isoformat(),
        "output": {"total": 3},
    }


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (RunStatus.QUEUED, "Scheduled"),
        (RunStatus.RUNNING, "Running"),
        (RunStatus.COMPLETED, "Completed"),
        (RunStatus.FAILED, "Failed"),
        (RunStatus.CANCELLED, "Cancelled"),
        (RunStatus.SKIPPED, "Skipped"),
    ],
)
def test_statuses_are_title_case_words(get: Get, status: RunStatus, word: str) -> None:
    run = factories.run(status)

    assert get(f"v1/runs/{run.pk}").json()["data"]["status"] == word


def test_live_run_has_no_end_and_no_output(get: Get) -> None:
    data = get(f"v1/runs/{factories.sleeping_run().pk}").json()["data"]

    assert (data["ended_at"], data["output"]) == (None, None)


def test_failed_run_has_its_error_as_output(get: Get) -> None:
    data = get(f"v1/runs/{factories.failed_run().pk}").json()["data"]

    assert data["output"] == {"error": factories.ERROR}


def test_rerun_names_its_original(get: Get) -> None:
    original = factories.completed_run()
    rerun = factories.run(original_run=original)

    assert get(f"v1/runs/{rerun.pk}").json()["data"]["original_run_id"] == original.pk


def test_run_of_a_schedule_names_it(get: Get) -> None:
    event = factories.event("inngest/scheduled.timer", data={"cron": "0 3 * * *"})
    run = factories.run(event=event)

    assert get(f"v1/runs/{run.pk}").json()["data"]["cron"] == "0 3 * * *"
    [listed] = get(f"v1/events/{event.pk}/runs").json()["data"]
    assert listed["cron"] == "0 3 * * *"


def test_values_that_no_encoding_has_are_sent_as_escapes(get: Get) -> None:
    run = factories.run(output=JSONText('"\\ud800"'))

    response = get(f"v1/runs/{run.pk}")

    assert b'"\\ud800"' in response.content


def test_event_and_its_runs_are_returned(get: Get) -> None:
    event = factories.event(external_id="ord-1", version="2")
    runs = [factories.run(event=event, function_id=f"shop-{n}") for n in range(2)]
    factories.run()

    data = get(f"v1/events/{event.pk}").json()["data"]
    listed = get(f"v1/events/{event.pk}/runs").json()["data"]

    assert (data["internal_id"], data["id"], data["name"]) == (event.pk, "ord-1", event.name)
    assert (data["data"], data["ts"], data["v"]) == ({"order": 7}, event.ts, "2")
    assert [run["run_id"] for run in listed] == [run.pk for run in runs]


def test_event_without_runs_has_an_empty_list(get: Get) -> None:
    assert get(f"v1/events/{factories.event().pk}/runs").json()["data"] == []


def test_ids_may_be_in_small_letters(get: Get) -> None:
    assert get(f"v1/runs/{factories.run().pk.lower()}").status_code == 200


@pytest.mark.parametrize("path", ["v1/runs/{}", "v1/events/{}", "v1/events/{}/runs"])
def test_bad_and_unknown_ids_are_told_apart(get: Get, path: str) -> None:
    bad, unknown = get(path.format("nonsense")), get(path.format(ids.new_ulid()))

    assert (bad.status_code, bad.json()["status"]) == (400, 400)
    assert "'nonsense' is not a ULID" in bad.json()["error"]
    assert (unknown.status_code, unknown.json()["status"]) == (404, 404)


@pytest.mark.parametrize(
    "key",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", "Bearer event-key", "Basic api-key", "api-key"],
)
def test_without_a_key_nothing_is_readable(get: Get, key: str | None) -> None:
    run = factories.completed_run()

    for path in (
        f"v1/runs/{run.pk}",
        f"v1/events/{run.event_id}",
        f"v1/events/{run.event_id}/runs",
    ):
        response = get(path, key=key)
        assert response.status_code == 401
        assert set(response.json()) == {"status", "error"}
        assert response["WWW-Authenticate"] == "Bearer"


def test_unknown_ids_look_like_known_ones_without_a_key(get: Get) -> None:
    known, unknown = factories.run().pk, ids.new_ulid()

    answers = [get(f"v1/runs/{key}", key=None).content for key in (known, unknown, "nonsense")]

    assert len(set(answers)) == 1


def test_while_no_key_is_configured_no_key_works(get: Get, keyed: Any) -> None:
    keyed.INNGEST = {key: value for key, value in keyed.INNGEST.items() if key != "API_KEYS"}

    for key in ("Bearer api-key", "Bearer ", "Bearer None"):
        assert get(f"v1/runs/{factories.run().pk}", key=key).status_code == 401


def test_a_session_is_no_substitute_for_a_key(keyed: Any, admin_client: Client) -> None:
    run = factories.run()

    assert admin_client.get(f"/inngest/v1/runs/{run.pk}").status_code == 401


def test_answers_are_json_whatever_is_asked_for(get: Get) -> None:
    run = factories.run()

    response = get(f"v1/runs/{run.pk}?format=api")
    html = Client().get(
        f"/inngest/v1/runs/{run.pk}",
        headers={"Accept": "text/html", "Authorization": "Bearer api-key"},
    )

    assert response["Content-Type"] == html["Content-Type"] == "application/json"
    assert html.status_code == 200


def test_health_is_open_and_tells_the_age_of_the_last_tick(get: Get) -> None:
    before = get("health", key=None).json()
    factories.pulse(seconds_ago=5)
    factories.completed_run()

    after = get("health", key=None)

    assert before == {"status": "ok", "last_tick_age": None}
    assert after.status_code == 200
    assert set(after.json()) == {"status", "last_tick_age"}
    assert 4.5 < after.json()["last_tick_age"] < 60
