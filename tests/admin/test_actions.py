from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from inngest_django.admin import actions
from inngest_django.models import Job, Run
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "admin:inngest_django_run_changelist"


@pytest.fixture
def viewer(client: Client) -> Client:
    """May look at runs and nothing else."""
    user = User.objects.create_user("ada", password="x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_run"))
    client.force_login(user)
    return client


def grant(codename: str) -> None:
    user = User.objects.get(username="ada")
    user.user_permissions.add(Permission.objects.get(codename=codename))


def told(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def act(client: Client, action: str, *runs: Run) -> Any:
    data = {"action": action, "_selected_action": [run.pk for run in runs]}
    return client.post(reverse(LIST), data)


def button(run: Run, name: str) -> str:
    return reverse(f"admin:inngest_django_run_{name}", args=[run.pk])


def test_cancel_action_reports_won_and_lost(viewer: Client) -> None:
    grant("cancel_run")
    live, other, ended = factories.sleeping_run(), factories.queued_run(), factories.completed_run()

    response = act(viewer, "cancel_selected", live, other, ended)

    assert told(response) == [
        "2 runs were cancelled.",
        "1 run was not cancelled: it had already ended.",
    ]
    assert {run.pk: run.status for run in Run.objects.all()} == {
        live.pk: "cancelled",
        other.pk: "cancelled",
        ended.pk: "completed",
    }
    assert not Job.objects.exists()
    assert "ada" in Run.objects.get(pk=live.pk).reason
    assert set(LogEntry.objects.values_list("object_id", flat=True)) == {live.pk, other.pk}


def test_rerun_action_starts_new_runs(viewer: Client) -> None:
    grant("rerun_run")
    factories.function()
    run, gone = factories.completed_run(), factories.completed_run(function_id="gone")

    response = act(viewer, "rerun_selected", run, gone)

    new = Run.objects.get(original_run=run)
    assert (new.status, new.event_id) == ("queued", run.event_id)
    assert told(response)[:2] == ["1 new run was started.", "1 run was not rerun."]
    assert "'gone' is not registered" in told(response)[2]


@pytest.mark.parametrize("action", ["cancel_selected", "rerun_selected"])
def test_actions_are_refused_and_hidden_without_their_permission(
    viewer: Client, action: str
) -> None:
    factories.function()
    run = factories.sleeping_run()

    page = viewer.get(reverse(LIST)).content.decode()
    act(viewer, action, run)

    run.refresh_from_db()
    assert action not in page
    assert run.status == "running"
    assert Run.objects.count() == 1


def test_select_all_stops_at_the_limit(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "ACTION_LIMIT", 2)
    grant("cancel_run")
    for _ in range(3):
        factories.queued_run()

    response = act(viewer, "cancel_selected", *Run.objects.all())

    assert Run.objects.filter(status="cancelled").count() == 2
    assert any("Only the first 2" in text for text in told(response))


def test_cancel_button_needs_post_permission_and_a_token(viewer: Client) -> None:
    run = factories.sleeping_run()
    without = viewer.post(button(run, "cancel")).status_code
    grant("cancel_run")
    by_get = viewer.get(button(run, "cancel")).status_code
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="ada"))
    unprotected = strict.post(button(run, "cancel")).status_code
    run.refresh_from_db()
    assert run.status == "running"

    response = viewer.post(button(run, "cancel"), {"reason": "wrong order"})

    run.refresh_from_db()
    assert (without, by_get, unprotected) == (403, 405, 403)
    assert (run.status, run.reason) == ("cancelled", "wrong order")
    assert told(response) == ["1 run was cancelled."]


def test_cancel_button_is_offered_only_while_the_run_lives(viewer: Client) -> None:
    grant("cancel_run")
    live, ended = factories.sleeping_run(), factories.completed_run()

    pages = [viewer.get(button(run, "change")).content.decode() for run in (live, ended)]

    assert [
        button(run, "cancel") in page for run, page in zip((live, ended), pages, strict=True)
    ] == [
        True,
        False,
    ]


def test_rerun_button_goes_to_the_new_run(viewer: Client) -> None:
    factories.function()
    run = factories.failed_run()
    without = viewer.post(button(run, "rerun")).status_code
    grant("rerun_run")

    response = viewer.post(button(run, "rerun"))

    new = Run.objects.get(original_run=run)
    assert without == 403
    assert response["Location"] == button(new, "change")


def test_rerun_of_a_run_whose_function_is_gone_says_so(viewer: Client) -> None:
    grant("rerun_run")
    run = factories.failed_run()

    response = viewer.post(button(run, "rerun"))

    assert response["Location"] == button(run, "change")
    assert any("not registered" in text for text in told(response))


def test_anonymous_visitor_is_sent_to_the_login(client: Client) -> None:
    run = factories.sleeping_run()

    for name in ("cancel", "rerun"):
        assert "login" in client.post(button(run, name))["Location"]
    run.refresh_from_db()
    assert run.status == "running"
