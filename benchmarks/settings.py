"""Django settings of the durable side."""

from __future__ import annotations

from benchmarks.places import Place, Server

_place = Place.from_environment()
_server = Server.from_environment()

SECRET_KEY = "benchmarks"
DEBUG = False
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "django_celery_beat",
    "inngest_django",
    "benchmarks",
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _place.database,
        "USER": _server.user,
        "PASSWORD": _server.password,
        "HOST": _server.host,
        "PORT": _server.port,
        "CONN_MAX_AGE": 60,
    }
}

for _name, _value in _place.celery_settings().items():
    globals()[f"CELERY_{_name.upper()}"] = _value
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_TASK_IGNORE_RESULT = True

INNGEST = {
    "QUEUE": _place.queue,
    "CONTROL_QUEUE": f"{_place.queue}-control",
    "FAST_PUBLISH": _place.is_fast,
    "MAX_STEPS": 1100,
}
