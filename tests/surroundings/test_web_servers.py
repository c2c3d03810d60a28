"""Events sent from web requests, under WSGI and ASGI, with ``ATOMIC_REQUESTS`` on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.surroundings.site import Site, post

pytestmark = [pytest.mark.sqlite, pytest.mark.timeout(300)]

ATOMIC = 'DATABASES["default"]["ATOMIC_REQUESTS"] = True\n'


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path, f"from mysite.stock import DATABASES\n{ATOMIC}")
    site.migrate()
    return site


def _rows(site: Site) -> list[int]:
    found = site.shell(
        "from inngest_django.models import Event; from shop.models import Order;"
        " print([Order.objects.count(), Event.objects.filter(name='shop/ordered').count()])"
    )
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_event_commits_or_rolls_back_with_the_request(site: Site, interface: str) -> None:
    with site.serving(interface) as address:
        status, answer = post(address, "/order?name=mug")
        broken, _ = post(address, "/order?name=pot&fail=1")
        run = site.run_of(answer["event"])

    assert (status, broken) == (200, 500)
    assert (run["status"], run["output"]) == ("completed", "mug")
    assert site.order(answer["order"]) == "shipped"
    # Neither the order of the broken request nor its event is there.
    assert _rows(site) == [1, 1]


def test_async_view_starts_an_async_function(site: Site) -> None:
    with site.serving("asgi") as address:
        status, answer = post(address, "/order-async?name=tea")
        run = site.run_of(answer["event"])

    assert status == 200
    assert (run["status"], run["output"]) == ("completed", "tea")
    assert site.order(answer["order"]) == "shipped"
