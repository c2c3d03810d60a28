from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from inngest_django.admin import base
from tests import factories

pytestmark = pytest.mark.django_db

URL = "admin:inngest_django_run_changelist"


def ids_of(response: Any) -> list[str]:
    return [run.pk for run in response.context["cl"].result_list]


def test_list_shows_runs_newest_first(admin_client: Client) -> None:
    older, newer = factories.completed_run(), factories.failed_run()

    response = admin_client.get(reverse(URL))

    assert ids_of(response) == [newer.pk, older.pk]
    assert "inngest-status--failed" in response.content.decode()


def test_list_takes_the_same_number_of_queries_for_one_run_and_for_thirty(
    admin_client: Client, django_assert_num_queries: Any
) -> None:
    factories.function()
    factories.completed_run()
    # Session, user, count, functions for the filter, rows.
    with django_assert_num_queries(5):
        admin_client.get(reverse(URL))
    for _ in range(29):
        factories.waiting_run()

    with django_assert_num_queries(5):
        response = admin_client.get(reverse(URL))

    assert len(ids_of(response)) == 30


def test_list_reads_no_values(admin_client: Client, django_assert_max_num_queries: Any) -> None:
    factories.completed_run()

    with django_assert_max_num_queries(9) as captured:
        admin_client.get(reverse(URL))

    statements = [query["sql"] for query in captured.captured_queries]
    runs = next(sql for sql in statements if 'ORDER BY "inngest_run"."id" DESC' in sql)
    assert '"output"' not in runs
    assert '"data"' not in runs


def test_count_stops_at_the_limit_and_says_so(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(base, "COUNT_LIMIT", 3)
    for _ in range(5):
        factories.run()

    with django_assert_max_num_queries(9) as captured:
        response = admin_client.get(reverse(URL))

    counts = [q["sql"] for q in captured.captured_queries if "COUNT(*)" in q["sql"]]
    assert counts
    assert all("LIMIT 4" in sql for sql in counts)
    assert "more than 3 runs" in response.content.decode()


def test_count_below_the_limit_is_exact(admin_client: Client) -> None:
    factories.run()
    factories.run()

    text = admin_client.get(reverse(URL)).content.decode()

    assert "2\n    runs" in text
    assert "more than" not in text


def test_filters_narrow_by_status_function_and_time(admin_client: Client) -> None:
    wanted = factories.failed_run(function_id="shop-refund")
    factories.completed_run(function_id="shop-refund")
    factories.failed_run(function_id="shop-fulfil")
    old = factories.failed_run(
        id="01" + "0" * 24, function_id="shop-refund", queued_at=factories.ago(90_000)
    )
    query = {"status__exact": "failed", "function": "shop-refund"}

    recent = admin_client.get(reverse(URL), {**query, "since": "24h"})
    every = admin_client.get(reverse(URL), query)

    assert ids_of(recent) == [wanted.pk]
    assert ids_of(every) == [wanted.pk, old.pk]


@pytest.mark.parametrize("how", ["run", "event", "lower", "function", "prefix", "name", "sender"])
def test_search_finds_the_run(admin_client: Client, how: str) -> None:
    factories.function("shop-refund", config={"triggers": [{"event": "shop/order.refunded"}]})
    event = factories.event("shop/order.refunded", external_id="ord-77")
    wanted = factories.run(function_id="shop-refund", event=event)
    factories.run()
    term = {
        "run": wanted.pk,
        "event": event.pk,
        "lower": f" {wanted.pk.lower()} ",
        "function": "shop-refund",
        "prefix": "shop-ref",
        "name": "shop/order.ref",
        "sender": "ord-77",
    }[how]

    response = admin_client.get(reverse(URL), {"q": term})

    assert ids_of(response) == [wanted.pk]


def test_search_finds_what_no_registered_function_names(admin_client: Client) -> None:
    by_function = factories.run(function_id="gone-function")
    by_event = factories.run(event=factories.event("gone/event.name"))

    assert ids_of(admin_client.get(reverse(URL), {"q": "gone-function"})) == [by_function.pk]
    assert ids_of(admin_client.get(reverse(URL), {"q": "gone/ev"})) == [by_event.pk]
    assert ids_of(admin_client.get(reverse(URL), {"q": "nothing"})) == []


def test_nothing_can_be_added_changed_or_deleted(admin_client: Client) -> None:
    run = factories.completed_run()

    response = admin_client.get(reverse("admin:inngest_django_run_add"))
    deleted = admin_client.post(
        reverse(URL), {"action": "delete_selected", "_selected_action": run.pk, "post": "yes"}
    )
    delete_page = admin_client.post(reverse("admin:inngest_django_run_delete", args=[run.pk]))

    run.refresh_from_db()
    assert response.status_code == 403
    assert deleted.status_code in (200, 302)
    assert delete_page.status_code == 403


def test_list_needs_the_view_permission(client: Client) -> None:
    user = User.objects.create_user("ada", password="x", is_staff=True)
    client.force_login(user)
    before = client.get(reverse(URL)).status_code
    user.user_permissions.add(Permission.objects.get(codename="view_run"))

    after = client.get(reverse(URL)).status_code

    assert (before, after) == (403, 200)
