"""The kit's own fixture, also where the package is not installed with its entry point."""

from __future__ import annotations

import pytest

from inngest_django.client import Inngest
from inngest_django.testing.plugin import durable, pytest_runtest_makereport

__all__ = ["durable", "pytest_runtest_makereport"]


@pytest.fixture
def client() -> Inngest:
    return Inngest(app_id="kit", is_production=False)
