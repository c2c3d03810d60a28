"""Runs and what surrounds them in Django's admin: everything is read-only but cancel and rerun."""

from __future__ import annotations

from inngest_django.admin.events import EventAdmin
from inngest_django.admin.functions import FunctionAdmin
from inngest_django.admin.jobs import JobAdmin
from inngest_django.admin.runs import RunAdmin
from inngest_django.admin.schedules import ScheduleAdmin
from inngest_django.admin.waits import WaitAdmin

__all__ = ["EventAdmin", "FunctionAdmin", "JobAdmin", "RunAdmin", "ScheduleAdmin", "WaitAdmin"]
