"""Celery: the tasks, what publishes their messages, and what a worker process does besides.

The only package that imports celery, kombu or django_celery_beat. A message is a hint: it
carries ids, and losing or repeating it changes nothing but latency.
"""

from __future__ import annotations
