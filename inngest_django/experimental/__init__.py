"""Names that the Inngest SDK calls experimental."""

from __future__ import annotations

from inngest_django.steps.current import get_step_context, set_step_context, step

__all__ = ["get_step_context", "set_step_context", "step"]
