"""The Celery app of the durable side, as Celery's guide for Django writes it."""

from __future__ import annotations

import os

from celery import Celery

from benchmarks import sampling

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")

app = Celery("benchmarks")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
sampling.connect()
