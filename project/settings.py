"""Settings of the demo project: SQLite and no broker, unless the environment says otherwise.

``VAR_DIR``       where everything that is written goes (``var`` beside ``manage.py``)
``DB_ENGINE``     a Django database backend; with it ``DB_NAME``, ``DB_USER``, ``DB_PASSWORD``,
                  ``DB_HOST``, ``DB_PORT`` (what is unset is left to the database's client)
``BROKER_URL``    of RabbitMQ or Redis; without it the in-process transport
``SECRET_KEY``, ``DEBUG``, ``ALLOWED_HOSTS``
"""

from __future__ import annotations

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(os.environ.get("VAR_DIR") or BASE_DIR / "var").resolve()
VAR_DIR.mkdir(parents=True, exist_ok=True)

SECRET_KEY = os.environ.get("SECRET_KEY", "for-the-demo-only-not-a-secret-of-anything-0123456789")
DEBUG = os.environ.get("DEBUG", "1") == "1"
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]").split(",")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_celery_beat",
    "inngest_django",
    "project.shop",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


def _database() -> dict[str, object]:
    engine = os.environ.get("DB_ENGINE", "django.db.backends.sqlite3")
    if engine.endswith("sqlite3"):
        return {"ENGINE": engine, "NAME": os.environ.get("DB_NAME") or VAR_DIR / "db.sqlite3"}
    database: dict[str, object] = {"ENGINE": engine, "CONN_MAX_AGE": 60}
    for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT"):
        if value := os.environ.get(f"DB_{key}"):
            database[key] = value
    return database


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
MEDIA_URL = "media/"
MEDIA_ROOT = VAR_DIR / "media"

EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = VAR_DIR / "mail"
DEFAULT_FROM_EMAIL = "shop@example.com"

CELERY_BROKER_URL = os.environ.get("BROKER_URL") or "memory://"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = TIME_ZONE

INNGEST: dict[str, object] = {
    "APP_ID": "shop",
    # A failed step of the demo is tried again after moments instead of half a minute.
    "RETRY_BACKOFF": ["500ms", "1s", "2s"],
    "RETRY_JITTER": "0s",
}
