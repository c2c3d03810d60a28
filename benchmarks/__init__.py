"""Measures the project and plain Celery side by side; see ``python -m benchmarks --help``."""

from __future__ import annotations
