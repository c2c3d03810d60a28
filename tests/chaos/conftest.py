"""Fixtures of the tests of ``inngest_chaos``."""

from __future__ import annotations

from inngest_django.testing.plugin import durable, pytest_runtest_makereport

__all__ = ["durable", "pytest_runtest_makereport"]
