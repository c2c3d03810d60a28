"""Settings of the tests: the demo project's, on the profile's database and broker.

The pytest process chooses names of its own for whatever it shares with others on the
machine (a folder, a database, queues) and hands them to the processes that it starts.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests import profiles

_ROOT = Path(__file__).resolve().parent.parent
# What this session writes; a child finds the folder of its parent in the environment.
SESSION = os.environ.setdefault("INNGEST_TEST_SESSION", f"{os.getpid()}")
os.environ["VAR_DIR"] = str(_ROOT / "var" / "tests" / SESSION)
os.environ.setdefault("INNGEST_TEST_LEDGER", str(Path(os.environ["VAR_DIR"]) / "ledger.sqlite3"))

from project.settings import *  # noqa: E402, F403
from project.settings import INNGEST, INSTALLED_APPS, VAR_DIR  # noqa: E402

PROFILE = profiles.current()

INSTALLED_APPS = [*INSTALLED_APPS, "tests.app"]
SECRET_KEY = "tests"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

if PROFILE.database == "postgresql":
    DATABASES: dict[str, dict[str, object]] = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            # A child is given the test database by name; its parent creates it from here.
            "NAME": os.environ.get("INNGEST_TEST_DATABASE")
            or os.environ.get("PGDATABASE", "postgres"),
            "USER": os.environ.get("PGUSER", "postgres"),
            "PASSWORD": os.environ.get("PGPASSWORD", ""),
            "HOST": os.environ.get("PGHOST", "127.0.0.1"),
            "PORT": os.environ.get("PGPORT", "5432"),
            "CONN_MAX_AGE": 60,
            "TEST": {"NAME": f"test_inngest_{SESSION}"},
        }
    }
else:
    # A file, because an in-memory database cannot be shared by threads that write.
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("INNGEST_TEST_DATABASE") or VAR_DIR / "unused.sqlite3",
            "TEST": {"NAME": VAR_DIR / "test.sqlite3"},
        }
    }

_DEFAULT_BROKERS = {
    "memory": "memory://",
    "amqp": "amqp://guest:guest@127.0.0.1:5672//",
    "redis": "redis://127.0.0.1:6379/9",
}
_given = os.environ.get("BROKER_URL", "")
CELERY_BROKER_URL = (
    _given
    if _given.split(":")[0].rstrip("s").startswith(PROFILE.broker)
    else _DEFAULT_BROKERS[PROFILE.broker]
)
# Redis knows no virtual hosts by name: every key of this session starts with its own prefix.
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = (
    {"global_keyprefix": f"inngest-test-{SESSION}-"} if PROFILE.broker == "redis" else {}
)

INNGEST = {
    **INNGEST,
    "QUEUE": f"inngest-test-{SESSION}",
    "CONTROL_QUEUE": f"inngest-test-{SESSION}-control",
    "RETRY_BACKOFF": ["200ms"],
    "RETRY_JITTER": "0s",
    # The functional suite passes both ways; the environment reaches workers, too.
    "CHECKPOINTING": os.environ.get("INNGEST_TEST_CHECKPOINTING", "") == "1",
    # What one test changes for the worker that it restarts.
    **json.loads(os.environ.get("INNGEST_TEST_OVERRIDES", "{}")),
}
# The same for Celery's own settings and for the database's.
globals().update(json.loads(os.environ.get("INNGEST_TEST_CELERY", "{}")))
DATABASES["default"] |= json.loads(os.environ.get("INNGEST_TEST_DATABASE_SETTINGS", "{}"))
