from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from ulid import ULID

from inngest_django.models import Event

pytestmark = pytest.mark.django_db

Send = Callable[..., Any]


def paid(**values: Any) -> dict[str, Any]:
    return {"name": "shop/order.paid", "data": {"n": 77}, **values}


def test_single_event_is_stored_and_its_id_returned(send: Send) -> None:
    response = send(paid(id="ord-77", ts=1_790_000_000_000, v="2", user={"id": 1}))

    event = Event.objects.get()
    assert (response.status_code, response.json()) == (200, {"ids": [event.pk], "status": 200})
    assert (event.name, event.data, event.external_id) == ("shop/order.paid", {"n": 77}, "ord-77")
    assert (event.ts, event.version, event.user) == (1_790_000_000_000, "2", {"id": 1})


def test_array_is_stored_in_its_order(send: Send) -> None:
    response = send([paid(data={"n": n}) for n in range(3)])

    stored = Event.objects.in_bulk()
    assert [stored[key].data["n"] for key in response.json()["ids"]] == [0, 1, 2]


def test_empty_array_is_accepted(send: Send) -> None:
    assert send([]).json() == {"ids": [], "status": 200}


def test_null_fields_count_as_absent_and_unknown_ones_are_ignored(send: Send) -> None:
    event = {"name": "a", "data": None, "id": None, "ts": None, "user": None, "v": None, "x": 1}

    response = send(event)

    assert response.status_code == 200
    assert Event.objects.get().data == {}


def test_repeated_sender_id_is_stored_again_under_another_id(send: Send) -> None:
    first, second = send(paid(id="ord-77")).json(), send(paid(id="ord-77")).json()

    assert first["ids"] != second["ids"]
    assert Event.objects.count() == 2


def test_events_before_a_bad_one_are_kept(send: Send) -> None:
    response = send([paid(), paid(), {"name": "inngest/forged"}, paid()])

    body = response.json()
    assert (response.status_code, body["status"]) == (400, 400)
    assert sorted(body["ids"]) == sorted(Event.objects.values_list("pk", flat=True))
    assert len(body["ids"]) == 2
    assert body["error"].startswith("Event 2: ")
    assert "reserved" in body["error"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("name=shop", "not JSON"),
        ('{"name": "a", "data": {"x": NaN}}', "NaN"),
        ('{"name": "a", "data": {"x": Infinity}}', "Infinity"),
        (b"\xff\xfe\xfa", "not JSON"),
        ("[" * 100_000, "nests too deeply"),
        ("3", "one event or an array"),
        ("null", "one event or an array"),
        ('[{"name": "a"}, 3][0]', "not JSON"),
        ("[3]", "must be an object, got 3"),
        ("{}", 'needs a "name"'),
        ('{"name": ""}', 'needs a "name"'),
        ('{"name": 3}', "name must be a string, got 3"),
        ('{"name": "a", "data": [1]}', "data must be an object"),
        ('{"name": "a", "data": ""}', "data must be an object"),
        ('{"name": "a", "user": "ada"}', "user must be an object"),
        ('{"name": "a", "id": 7}', "id must be a string"),
        ('{"name": "a", "ts": "now"}', "ts must be a whole number"),
        ('{"name": "a", "ts": 1.5}', "ts must be a whole number"),
        ('{"name": "a", "ts": true}', "ts must be a whole number"),
        ('{"name": "a", "ts": 12}', "outside 1980 to 2100"),
        ('{"name": "a", "ts": 1e400}', "ts must be"),
        ('{"name": "a\\u0000b"}', "NUL"),
        ('{"name": "a", "id": "\\ud800"}', "surrogate"),
        ('{"name": "%s"}' % ("a" * 513), "512"),
        ('{"name": "a", "data": ' + '{"x":' * 70 + "1" + "}" * 71, "deeper than 64"),
        ('{"name": "a", "data": {"n": %s}}' % ("9" * 5000), "not JSON"),
    ],
)  # fmt: skip
def test_bad_body_is_refused_with_words(send: Send, body: str | bytes, words: str) -> None:
    response = send(body)

    answer = response.json()
    assert (response.status_code, answer["status"], answer["ids"]) == (400, 400, [])
    assert words in answer["error"]
    assert not Event.objects.exists()


def test_more_than_5000_events_are_refused_whole(send: Send) -> None:
    response = send([{"name": "a"}] * 5001)

    assert response.status_code == 400
    assert "5000" in response.json()["error"]
    assert not Event.objects.exists()


def test_5000_events_are_taken(send: Send) -> None:
    response = send([{"name": "a"}] * 5000)

    assert response.status_code == 200
    assert len(set(response.json()["ids"])) == Event.objects.count() == 5000


def test_event_over_the_limit_is_refused(send: Send, keyed: Any) -> None:
    keyed.INNGEST = {**keyed.INNGEST, "MAX_EVENT_BYTES": 1000}

    response = send([paid(), paid(data={"x": "y" * 1000})])

    assert (response.status_code, len(response.json()["ids"])) == (400, 1)
    assert "MAX_EVENT_BYTES" in response.json()["error"]


def test_body_over_the_bound_is_refused_before_it_is_parsed(send: Send, keyed: Any) -> None:
    keyed.INNGEST = {**keyed.INNGEST, "MAX_EVENT_BYTES": 1000}

    response = send("[" + " " * 4000)

    assert response.status_code == 413
    assert response.json()["ids"] == []
    assert "4000 bytes" in response.json()["error"]


def test_event_larger_than_djangos_form_limit_is_taken(send: Send, keyed: Any) -> None:
    keyed.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

    assert send(paid(data={"x": "y" * 100_000})).status_code == 200


def test_json_is_read_whatever_the_content_type_says(send: Send) -> None:
    body = json.dumps(paid())

    response = send(body, content_type="application/x-www-form-urlencoded")

    assert response.status_code == 200


@pytest.mark.parametrize(
    "key", ["wrong", "event-ke", "event-keyy", "EVENT-KEY", "api-key", "schlüssel"]
)
def test_unknown_key_is_refused(send: Send, key: str) -> None:
    response = send(paid(), key=key)

    assert response.status_code == 401
    assert response.json() == {"status": 401, "error": "Event key not found"}
    assert not Event.objects.exists()


def test_missing_key_is_refused(send: Send) -> None:
    assert send(paid(), key="").json() == {"status": 401, "error": "Event key is required"}


def test_without_configured_keys_nothing_is_accepted(send: Send, keyed: Any) -> None:
    keyed.INNGEST = {key: value for key, value in keyed.INNGEST.items() if key != "EVENT_KEYS"}

    response = send(paid())

    assert response.status_code == 503
    assert "EVENT_KEYS" in response.json()["error"]
    assert not Event.objects.exists()


def test_second_key_works_too(send: Send) -> None:
    assert send(paid(), key="other-key").status_code == 200


def test_a_session_is_no_substitute_for_a_key(keyed: Any, admin_user: Any) -> None:
    client = Client()
    client.force_login(admin_user)

    response = client.post("/inngest/e/wrong", paid(), content_type="application/json")

    assert response.status_code == 401


def seed(millis: int = 1_790_000_000_000, last: int = 5) -> str:
    entropy = b"abcdef" + last.to_bytes(4, "big")
    return f"{millis},{base64.b64encode(entropy).decode()}"


def test_seeded_request_sent_again_returns_the_same_ids_and_stores_nothing(send: Send) -> None:
    events = [paid(data={"n": n}) for n in range(3)]

    first = send(events, **{"x-inngest-event-id-seed": seed()}).json()
    again = send(events, **{"x-inngest-event-id-seed": seed()}).json()

    assert first == again
    assert Event.objects.count() == 3
    ulids = [ULID.from_str(key) for key in first["ids"]]
    assert [int(ulid.timestamp * 1000) for ulid in ulids] == [1_790_000_000_000] * 3
    # The index is counted from 1.
    assert [ulid.bytes[-4:] for ulid in ulids] == [n.to_bytes(4, "big") for n in (6, 7, 8)]


def test_seeded_request_cut_short_is_completed_by_the_repeat(send: Send) -> None:
    header = {"x-inngest-event-id-seed": seed()}
    bad = send([paid(), {"name": ""}], **header).json()

    good = send([paid(), paid()], **header).json()

    assert good["ids"][:1] == bad["ids"]
    assert Event.objects.count() == 2


def test_seed_wraps_around(send: Send) -> None:
    header = {"x-inngest-event-id-seed": seed(last=2**32 - 1)}

    ids = send([paid(), paid()], **header).json()["ids"]

    assert [ULID.from_str(key).bytes[-4:] for key in ids] == [b"\0\0\0\0", b"\0\0\0\1"]


@pytest.mark.parametrize(
    "header",
    ["nonsense", "1790000000000,short", "1790000000000,", ",YWJjZGVmZ2hpag==",
     "999999999999999,YWJjZGVmZ2hpag==", "1790000000000,YWJjZGVmZ2hpamts"],
)  # fmt: skip
def test_malformed_seed_is_ignored(send: Send, header: str) -> None:
    first = send(paid(), **{"x-inngest-event-id-seed": header}).json()
    second = send(paid(), **{"x-inngest-event-id-seed": header}).json()

    assert first["ids"] != second["ids"]


def test_preflight_and_answers_admit_every_origin(send: Send) -> None:
    preflight = Client().options("/inngest/e/event-key", headers={"Origin": "https://shop.test"})

    assert preflight.status_code == 204
    assert preflight["Access-Control-Allow-Origin"] == "*"
    assert send(paid())["Access-Control-Allow-Origin"] == "*"


def test_other_methods_are_refused(keyed: Any) -> None:
    response = Client().get("/inngest/e/event-key")

    assert response.status_code == 405
    assert response.json()["status"] == 405


def test_the_first_of_several_faults_is_the_one_that_is_told(send: Send) -> None:
    # The second breaks a rule, the fourth is no event at all.
    response = send([paid(), {"name": "inngest/forged"}, paid(), {"name": 3}])

    assert len(response.json()["ids"]) == Event.objects.count() == 1
    assert response.json()["error"].startswith("Event 1: ")
