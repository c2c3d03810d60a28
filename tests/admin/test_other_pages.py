from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from inngest_django import clock
from inngest_django.models import Event
from tests import factories

pytestmark = pytest.mark.django_db


def page(client: Client, model: str, key: object = None, **query: str) -> Any:
    name = f"admin:inngest_django_{model}"
    path = reverse(f"{name}_changelist") if key is None else reverse(f"{name}_change", args=[key])
    response = client.get(path, query)
    assert response.status_code == 200
    return response


def test_event_list_shows_the_runs_that_each_event_started(
    admin_client: Client, django_assert_num_queries: Any
) -> None:
    event = factories.event()
    for number in range(7):
        factories.run(event=event, function_id=f"shop-fn{number}")
    for _ in range(20):
        factories.event("shop/other")

    # Session, user, count, rows, their runs.
    with django_assert_num_queries(5):
        text = page(admin_client, "event").content.decode()

    assert "shop-fn0" in text
    assert "+2" in text


def test_event_list_filters_and_searches(admin_client: Client) -> None:
    routed, unrouted = factories.event("a/b", external_id="my-id"), factories.unrouted_event()

    def found(**query: str) -> list[str]:
        return [
            event.pk for event in page(admin_client, "event", **query).context["cl"].result_list
        ]

    assert found(routed="no") == [unrouted.pk]
    assert found(routed="yes") == [routed.pk]
    assert found(q="my-id") == [routed.pk]
    assert found(q="a/") == [routed.pk]
    assert found(q=unrouted.pk.lower()) == [unrouted.pk]
    assert found(since="1h") == [unrouted.pk, routed.pk]


def test_event_page_shows_payload_runs_and_matched_waits(admin_client: Client) -> None:
    event = factories.event("shop/order.shipped", data={"parcel": "p-1"}, user={"who": "u-9"})
    started = factories.run(event=event)
    waiting = factories.waiting_run()
    waiting.waits.update(matched_event=event, status="matched")
    cancelled = factories.run()
    factories.wait(cancelled, kind="cancel", matched_event=event, status="matched")

    text = page(admin_client, "event", event.pk).content.decode()

    for part in ("p-1", "u-9", started.pk, waiting.pk, cancelled.pk):
        assert part in text
    assert "resumed the step" in text
    assert "cancelled the run" in text


def test_function_pages_show_triggers_options_and_whether_the_code_has_it(
    admin_client: Client,
) -> None:
    function = factories.function("gone-function")
    run = factories.run(function_id=function.pk)

    listed = page(admin_client, "function", q="gone").content.decode()
    text = page(admin_client, "function", function.pk).content.decode()

    assert "shop/order.paid" in listed
    assert "icon-no" in listed
    for part in ("shop/order.paid", "event.data.order &gt; 0", "concurrency", "retries", run.pk):
        assert part in text
    assert "does not have this function" in text


def test_wait_pages_are_read_only(admin_client: Client, django_assert_num_queries: Any) -> None:
    for _ in range(10):
        run = factories.waiting_run()
    wait = run.waits.get()

    with django_assert_num_queries(4):
        listed = page(admin_client, "wait").content.decode()
    text = page(admin_client, "wait", wait.pk).content.decode()

    assert "shop/order.shipped" in listed
    assert "&quot;event.data.order&quot;:7" in text
    assert 'name="_save"' not in text
    found = page(admin_client, "wait", q=run.pk).context["cl"].result_list
    assert [row.pk for row in found] == [wait.pk]


def test_job_pages_are_read_only(admin_client: Client, django_assert_num_queries: Any) -> None:
    due, held = factories.queued_run(), factories.running_run(function_id="other-fn")
    later = factories.sleeping_run()

    with django_assert_num_queries(4):
        page(admin_client, "job")
    text = page(admin_client, "job", held.jobs.get().pk).content.decode()

    def found(**query: str) -> list[str]:
        return [job.run_id for job in page(admin_client, "job", **query).context["cl"].result_list]

    assert 'name="_save"' not in text
    assert "host:1" in text
    assert found(state="due") == [due.pk]
    assert found(state="leased") == [held.pk]
    assert found(state="later") == [later.pk]
    assert found(q="other") == [held.pk]


def test_schedule_pages_show_the_next_times_and_whether_somebody_runs_it(
    admin_client: Client, django_assert_num_queries: Any
) -> None:
    next_at = dt.datetime(2099, 3, 1, 12, tzinfo=dt.UTC)
    shown = factories.schedule("shop-nightly", cron="0 12 * * *", next_at=next_at)
    factories.schedule("gone-nightly", registered_at=clock.now() - dt.timedelta(minutes=10))

    with django_assert_num_queries(4):
        listed = page(admin_client, "schedule", q="nightly").content.decode()
    text = page(admin_client, "schedule", shown.pk).content.decode()

    assert "0 12 * * *" in listed
    assert "no process has it since 10m" in listed
    assert listed.count('inngest-status--running">on<') == 1
    assert 'name="_save"' not in text
    for day in ("2099-03-01", "2099-03-02", "2099-03-05"):
        assert f"{day} 12:00:00" in text
    assert "2099-03-06" not in text
    assert reverse("admin:inngest_django_function_change", args=["shop-nightly"]) in text


def test_schedule_of_a_zone_that_this_host_does_not_know_is_shown(admin_client: Client) -> None:
    row = factories.schedule(cron="TZ=Mars/Base 0 12 * * *")

    text = page(admin_client, "schedule", row.pk).content.decode()

    assert "is no time zone" in text


def test_function_page_shows_when_the_clock_starts_it_next(admin_client: Client) -> None:
    next_at = dt.datetime(2099, 3, 1, 12, tzinfo=dt.UTC)
    triggers = [{"cron": "0 12 * * *"}, {"cron": "30 12 * * *"}]
    function = factories.function("shop-nightly", config={"triggers": triggers})
    factories.schedule("shop-nightly", cron="0 12 * * *", next_at=next_at)
    factories.schedule(
        "shop-nightly",
        cron="30 12 * * *",
        next_at=next_at,
        registered_at=clock.now() - dt.timedelta(minutes=10),
    )

    text = page(admin_client, "function", function.pk).content.decode()

    # The other one is declared by nobody who lives.
    assert text.count("2099-03-01 12:00:00") == 1


def test_index_lists_the_six_models(admin_client: Client) -> None:
    text = admin_client.get(reverse("admin:app_list", args=["inngest_django"])).content.decode()

    for model in ("run", "event", "function", "schedule", "wait", "job"):
        assert f"/inngest_django/{model}/" in text
    assert Event.objects.count() == 0
