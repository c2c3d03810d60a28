"""Django signals for projects, sent after commit.

Each carries ids only: ``run_id`` and ``function_id``; ``run_ended`` adds ``status``,
``step_ended`` adds ``step_id`` (the row's), ``name`` and ``status``.
"""

from __future__ import annotations

from django.dispatch import Signal

run_started = Signal()
run_ended = Signal()
step_ended = Signal()

__all__ = ["run_ended", "run_started", "step_ended"]
