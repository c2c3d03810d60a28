"""Only this repository needs it: where the package is installed, pytest finds its fixture."""

from __future__ import annotations

from inngest_django.testing.plugin import durable, pytest_runtest_makereport

__all__ = ["durable", "pytest_runtest_makereport"]
