"""Which database and broker a session of tests runs on, and which tests that selects.

``INNGEST_TEST_PROFILE`` chooses:

========================  ==============================  ===================================
profile                   runs on                         selects
========================  ==============================  ===================================
``sqlite`` (default)      SQLite, in-process transport    everything that needs no service
``postgres+rabbitmq``     PostgreSQL, RabbitMQ            everything but the other profiles'
``redis``                 PostgreSQL, Redis               tests marked ``smoke`` or ``redis``
``django60``              PostgreSQL, RabbitMQ, Django 6  tests marked ``smoke`` or ``django60``
========================  ==============================  ===================================

``slow`` and ``browser`` tests join when ``INNGEST_TEST_SLOW`` or ``INNGEST_TEST_BROWSER`` is 1;
with ``INNGEST_TEST_FULL`` the last two profiles run everything that they offer.
In the profiles with services a service that is missing ends the session with an error.
"""

from __future__ import annotations

import dataclasses
import os

# A test with one of these needs something that is not on every machine.
SERVICE_MARKS = frozenset({"postgres", "rabbitmq", "redis", "services", "faults", "django60"})
# What these folders' and files' tests say of the package does not depend on a database or a broker.
ONCE = ("docs", "repo", "testing/test_documentation.py", "testing/test_faults.py", "unit/drivers", "unit/expressions", "unit/functions", "unit/source",
        "unit/steps")  # fmt: skip
OPTIONAL_MARKS = {"slow": "INNGEST_TEST_SLOW", "browser": "INNGEST_TEST_BROWSER"}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """A database, a broker, and marks.

    Attributes:
        offers: The service marks that this profile satisfies.
        only: When not empty, a test must carry one of these marks.
    """

    name: str
    database: str
    broker: str
    offers: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()

    @property
    def has_processes(self) -> bool:
        """Whether worker and beat are processes of their own."""
        return self.broker != "memory"

    def selects(self, marks: frozenset[str]) -> bool:
        """Return whether a test with these marks runs in this profile."""
        if "sqlite" in marks and self.database != "sqlite":
            return False
        is_full = os.environ.get("INNGEST_TEST_FULL") == "1"
        if self.only and not is_full and not marks & self.only:
            return False
        return marks & SERVICE_MARKS <= self.offers


_PROCESSES = frozenset({"postgres", "services", "faults"})

PROFILES = {
    profile.name: profile
    for profile in (
        Profile(name="sqlite", database="sqlite", broker="memory"),
        Profile(
            name="postgres+rabbitmq",
            database="postgresql",
            broker="amqp",
            offers=_PROCESSES | {"rabbitmq"},
        ),
        Profile(
            name="redis",
            database="postgresql",
            broker="redis",
            offers=_PROCESSES | {"redis"},
            only=frozenset({"smoke", "redis"}),
        ),
        Profile(
            name="django60",
            database="postgresql",
            broker="amqp",
            offers=_PROCESSES | {"rabbitmq", "django60"},
            only=frozenset({"smoke", "django60"}),
        ),
    )
}


def current() -> Profile:
    """Return the profile that the environment chose."""
    name = os.environ.get("INNGEST_TEST_PROFILE") or "sqlite"
    try:
        return PROFILES[name]
    except KeyError:
        raise RuntimeError(
            f"INNGEST_TEST_PROFILE is {name!r}; choose one of {', '.join(PROFILES)}."
        ) from None


def is_said_once(path: str) -> bool:
    """Return whether a test's file, below ``tests``, is for one profile only, the first."""
    return any(path == name or path.startswith(f"{name}/") for name in ONCE)


def left_out_because(marks: frozenset[str]) -> str:
    """Return why a test does not run in this session, or nothing when it does."""
    profile = current()
    for mark, variable in OPTIONAL_MARKS.items():
        if mark in marks and os.environ.get(variable) != "1":
            return mark
    if profile.selects(marks):
        return ""
    missing = sorted((marks & SERVICE_MARKS) - profile.offers)
    return "+".join(missing) or "another profile"
