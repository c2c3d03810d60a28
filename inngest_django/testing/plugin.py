"""The pytest plugin: the fixture ``durable``, and the runs' timelines when a test fails."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from inngest_django.testing.durable import Durable


@pytest.fixture
def durable(db: None) -> Iterator[Durable]:  # noqa: ARG001 - pytest-django's, for its effect
    """Durable functions on the real engine, in this process, with a clock that stands still.

    Runs in pytest-django's transaction, which is rolled back. Real commits come with
    ``@pytest.mark.django_db(transaction=True)`` on the test.
    """
    # Late: pytest loads plugins before Django knows its apps.
    from inngest_django.testing.durable import Durable

    with Durable() as kit:
        yield kit


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show every run of a test that failed."""
    report = yield
    kit: Durable | None = getattr(item, "funcargs", {}).get("durable")
    if call.when == "call" and report.failed and kit is not None:
        report.sections.append(("durable runs", kit.describe()))
    return report
