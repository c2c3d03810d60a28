from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from inngest_django import ids
from inngest_django.admin import timeline
from inngest_django.models import Run
from inngest_django.models.fields import JSONText
from inngest_django.states import JobKind, OpKind, RunStatus, StepStatus
from tests import factories

pytestmark = pytest.mark.django_db


def url(run: Run, page: str = "change") -> str:
    return reverse(f"admin:inngest_django_run_{page}", args=[run.pk])


def shown(client: Client, run: Run) -> str:
    response = client.get(url(run))
    assert response.status_code == 200
    return response.content.decode()


def test_page_shows_event_steps_attempts_and_errors(admin_client: Client) -> None:
    run = factories.failed_run(
        event=factories.event(data={"order": 7, "note": "grüße"}), reason="step charge failed"
    )
    factories.step(run, "fetch", input=[1, 2], output={"pages": 12}, op=OpKind.STEP_RUN)
    factories.attempt(run, None, error={**factories.ERROR, "message": "bad handler"})

    text = shown(admin_client, run)

    for part in ("grüße", "charge", "fetch", "card declined", "shop.py line 7", "bad handler"):
        assert part in text
    assert "&quot;pages&quot;: 12" in text
    assert "attempt 0" in text
    assert "attempt 1" in text
    assert "step charge failed" in text


def test_page_says_what_a_run_waits_for(admin_client: Client) -> None:
    waiting, sleeping = factories.waiting_run(), factories.sleeping_run()

    assert "waits for event shop/order.shipped" in shown(admin_client, waiting)
    assert "event.data.order == async.data.order" in shown(admin_client, waiting)
    assert "leeps in step nap" in shown(admin_client, sleeping)


def test_page_takes_the_same_number_of_queries_for_one_step_and_for_fifty(
    admin_client: Client, django_assert_num_queries: Any
) -> None:
    small, large = factories.run(), factories.run()
    factories.step(small, "a")
    factories.attempt(small, small.steps.get())
    for number in range(50):
        step = factories.step(large, f"step-{number}", status=StepStatus.WAITING)
        factories.attempt(large, step)
        factories.wait(large, step=step)
        factories.job(large, step=step, kind=JobKind.WAIT)
        factories.run(parent=step, event=large.event)

    # Session, user, run, event; count, steps, attempts, waits, jobs, children; reruns.
    with django_assert_num_queries(11):
        admin_client.get(url(small))
    with django_assert_num_queries(11):
        admin_client.get(url(large))


def test_page_links_parent_children_original_and_reruns(admin_client: Client) -> None:
    parent = factories.run(function_id="shop-parent")
    step = factories.step(parent, "call", op=OpKind.INVOKE_FUNCTION)
    original = factories.run(function_id="shop-child", event=parent.event)
    child = factories.run(
        function_id="shop-child", event=parent.event, parent=step, original_run=original
    )

    on_child, on_parent = shown(admin_client, child), shown(admin_client, parent)

    assert url(parent) in on_child
    assert url(original) in on_child
    assert url(child) in on_parent
    assert url(child) in shown(admin_client, original)


def test_values_are_escaped(admin_client: Client) -> None:
    bad = "<script>alert(1)</script>"
    run = factories.run(
        RunStatus.FAILED,
        event=factories.event(bad, data={"x": bad}),
        error={"code": bad, "name": bad, "message": bad, "stack": bad},
        reason=bad,
    )
    step = factories.step(run, bad, input=[bad], output=bad)
    factories.attempt(run, step, error={"name": bad, "message": bad, "stack": bad, "code": bad})
    factories.wait(run, step=step, event_name=bad, expression=bad)

    run_page = shown(admin_client, run)
    event_page = admin_client.get(
        reverse("admin:inngest_django_event_change", args=[run.event_id])
    ).content.decode()
    lists = [
        admin_client.get(reverse(f"admin:inngest_django_{name}_changelist")).content.decode()
        for name in ("run", "event", "wait", "job")
    ]

    assert all(bad not in text for text in (run_page, event_page, *lists))


def test_large_values_are_cut_and_served_whole_elsewhere(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    large = {"x": "y" * 100_000}
    run = factories.run(output=large, event=factories.event(data=large))
    step = factories.step(run, "big", output=large)

    with django_assert_max_num_queries(20) as captured:
        text = shown(admin_client, run)
    raw = admin_client.get(url(run, "raw"), {"step": step.pk, "part": "output"})

    assert len(text) < 60_000
    assert text.count("97.7\xa0KB") == 3
    assert not any('"inngest_step"."output",' in q["sql"] for q in captured.captured_queries)
    assert raw["Content-Type"] == "application/json"
    assert raw["X-Content-Type-Options"] == "nosniff"
    assert json.loads(raw.content) == large
    for part, status in [("event", 200), ("output", 200), ("error", 404), ("other", 404)]:
        assert admin_client.get(url(run, "raw"), {"part": part}).status_code == status


def test_raw_values_of_another_run_are_not_found(admin_client: Client) -> None:
    run, other = factories.run(), factories.run()
    step = factories.step(other, "secret", output="x")

    response = admin_client.get(url(run, "raw"), {"step": step.pk, "part": "output"})

    assert response.status_code == 404


def test_values_that_no_encoding_has_are_shown_escaped(admin_client: Client) -> None:
    run = factories.run()
    factories.step(run, "odd", output=JSONText('"a\\ud800b\\u0000"'))

    assert "a\\ud800b" in shown(admin_client, run)


def test_many_steps_come_in_pages(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "STEPS_PER_PAGE", 2)
    run = factories.run()
    for name in ("one-a", "two-b", "three-c"):
        factories.step(run, name)

    first = shown(admin_client, run)
    second = admin_client.get(url(run), {"p": "2"}).content.decode()

    assert ("two-b" in first, "three-c" in first) == (True, False)
    assert ("two-b" in second, "three-c" in second) == (False, True)


def test_unknown_and_malformed_ids_are_not_found(admin_client: Client) -> None:
    for key in (ids.new_ulid(), "nonsense"):
        path = reverse("admin:inngest_django_run_change", args=[key])
        assert admin_client.get(path).status_code == 404


def test_page_has_no_inline_script_and_no_inline_style(admin_client: Client) -> None:
    run = factories.failed_run()

    content = shown(admin_client, run).split('<div id="content-main"')[1]

    assert "<script" not in content
    assert "style=" not in content
    assert "onclick" not in content


def test_page_and_raw_values_need_the_view_permission(client: Client) -> None:
    user = User.objects.create_user("ada", password="x", is_staff=True)
    client.force_login(user)
    run = factories.completed_run()
    before = [client.get(url(run)).status_code, client.get(url(run, "raw")).status_code]
    user.user_permissions.add(Permission.objects.get(codename="view_run"))

    after = client.get(url(run, "change"))

    assert before == [403, 403]
    assert after.status_code == 200
    assert "Rerun</button>" not in after.content.decode()


def test_bars_show_attempts_and_the_time_between_them() -> None:
    run = factories.run()
    step = factories.step(run, "flaky", started_at=factories.ago(50), ended_at=factories.ago(30))
    failed = factories.attempt(run, step, started_at=factories.ago(50), ended_at=factories.ago(45))
    scale = timeline.Scale(start=factories.ago(60), end=factories.ago(10))

    drawn = timeline.bars(step, [failed], scale=scale)

    assert [(bar.kind, bar.x, bar.width) for bar in drawn] == [
        ("backoff", "200.0", "400.0"),
        ("attempt", "200.0", "100.0"),
        ("completed", "600.0", "4.0"),
    ]


def test_short_bars_stay_visible_and_inside() -> None:
    run = factories.run()
    step = factories.step(run, "quick", started_at=factories.ago(10), ended_at=factories.ago(10))
    scale = timeline.Scale(start=factories.ago(100_000), end=factories.ago(10))

    (bar,) = timeline.bars(step, [], scale=scale)

    assert (bar.x, bar.width) == ("996.0", "4.0")


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (dt.timedelta(microseconds=400), "0 ms"),
        (dt.timedelta(milliseconds=12), "12 ms"),
        (dt.timedelta(seconds=3.214), "3.21 s"),
        (dt.timedelta(minutes=90), "1h30m"),
        (dt.timedelta(seconds=-1), "0 ms"),
    ],
)
def test_spans_are_short_texts(span: dt.timedelta, text: str) -> None:
    assert timeline.span_text(span) == text
