"""A user model of the project's own, with another name field and another kind of key."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.surroundings.site import Site

pytestmark = [pytest.mark.sqlite, pytest.mark.timeout(300)]

_SEND = """
import json
from inngest_django import Event
from shop.functions import client
[event] = client.send_sync(Event(name="shop/patience"))
print(json.dumps(event))
"""
_CANCEL_IN_ADMIN = """
import json
from django.contrib.admin.models import LogEntry
from django.test import Client
from inngest_django.models import Run
from shop.models import Customer
Customer.objects.create_superuser("ada@example.org", "secret")
browser = Client()
run = Run.objects.get()
anonymous = browser.get(f"/admin/inngest_django/run/{run.pk}/change/").status_code
logged_in = browser.login(username="ada@example.org", password="secret")
page = browser.get(f"/admin/inngest_django/run/{run.pk}/change/")
browser.post("/admin/inngest_django/run/", {
    "action": "cancel_selected", "_selected_action": [run.pk],
})
run.refresh_from_db()
print(json.dumps({
    "anonymous": anonymous, "logged_in": logged_in, "page": page.status_code,
    "shows": "shop-patient" in page.content.decode(), "status": run.status,
    "reason": run.reason, "by": [entry.user.email for entry in LogEntry.objects.all()],
}))
"""


def test_operator_cancels_a_run(tmp_path: Path) -> None:
    site = Site(tmp_path, 'AUTH_USER_MODEL = "shop.Customer"\n')
    site.migrate()
    event = site.shell(_SEND)

    with site.working():
        site.run_of(event, status="running")
    seen = site.shell(_CANCEL_IN_ADMIN)

    assert seen == {
        "anonymous": 302,
        "logged_in": True,
        "page": 200,
        "shows": True,
        "status": "cancelled",
        "reason": "by ada@example.org in the admin",
        "by": ["ada@example.org"],
    }
